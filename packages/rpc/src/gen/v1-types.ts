// Made from proto/v1 by generate-wire.mjs; not to be edited.
import type $protobuf from 'protobufjs/minimal.js';
export interface Integer64 {
    low: number;
    high: number;
}
export declare namespace sluice {
    namespace v1 {
        interface IAppendRequestBatch {
            messages?: (sluice.v1.IAppendRequest[]|null);
        }
        class AppendRequestBatch implements IAppendRequestBatch {
            constructor(properties?: sluice.v1.IAppendRequestBatch);
            public messages: sluice.v1.IAppendRequest[];
            public static encode(message: sluice.v1.IAppendRequestBatch, writer?: $protobuf.Writer): $protobuf.Writer;
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): sluice.v1.AppendRequestBatch;
        }
        interface IAppendRequest {
            sequence?: (number|Integer64|null);
            partition?: (number|null);
            batch?: (Uint8Array|null);
        }
        class AppendRequest implements IAppendRequest {
            constructor(properties?: sluice.v1.IAppendRequest);
            public sequence: (number|Integer64);
            public partition: number;
            public batch: Uint8Array;
            public static encode(message: sluice.v1.IAppendRequest, writer?: $protobuf.Writer): $protobuf.Writer;
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): sluice.v1.AppendRequest;
        }
        interface IAppendResponseBatch {
            messages?: (sluice.v1.IAppendResponse[]|null);
        }
        class AppendResponseBatch implements IAppendResponseBatch {
            constructor(properties?: sluice.v1.IAppendResponseBatch);
            public messages: sluice.v1.IAppendResponse[];
            public static encode(message: sluice.v1.IAppendResponseBatch, writer?: $protobuf.Writer): $protobuf.Writer;
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): sluice.v1.AppendResponseBatch;
        }
        interface IAppendResponse {
            answer?: (sluice.v1.IAppendAnswer|null);
            leading?: (sluice.v1.IAppendLeading|null);
        }
        class AppendResponse implements IAppendResponse {
            constructor(properties?: sluice.v1.IAppendResponse);
            public answer?: (sluice.v1.IAppendAnswer|null);
            public leading?: (sluice.v1.IAppendLeading|null);
            public static encode(message: sluice.v1.IAppendResponse, writer?: $protobuf.Writer): $protobuf.Writer;
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): sluice.v1.AppendResponse;
        }
        interface IAppendAnswer {
            sequence?: (number|Integer64|null);
            status?: (sluice.v1.AppendStatus|null);
            refused?: (sluice.v1.IAppendRefusedRecord[]|null);
            leader?: (number|Integer64|null);
        }
        class AppendAnswer implements IAppendAnswer {
            constructor(properties?: sluice.v1.IAppendAnswer);
            public sequence: (number|Integer64);
            public status: sluice.v1.AppendStatus;
            public refused: sluice.v1.IAppendRefusedRecord[];
            public leader: (number|Integer64);
            public static encode(message: sluice.v1.IAppendAnswer, writer?: $protobuf.Writer): $protobuf.Writer;
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): sluice.v1.AppendAnswer;
        }
        enum AppendStatus {
            APPEND_STATUS_UNSPECIFIED = 0,
            APPEND_STATUS_COMMITTED = 1,
            APPEND_STATUS_UNKNOWN = 2,
            APPEND_STATUS_NOT_LEADER = 3,
            APPEND_STATUS_STORAGE_FULL = 4,
            APPEND_STATUS_BUSY = 5,
            APPEND_STATUS_UNAVAILABLE = 6,
            APPEND_STATUS_OUT_OF_ORDER = 7
        }
        interface IAppendRefusedRecord {
            slot?: (number|null);
            queueId?: (number|Integer64|null);
            code?: (sluice.v1.AppendRefusal|null);
        }
        class AppendRefusedRecord implements IAppendRefusedRecord {
            constructor(properties?: sluice.v1.IAppendRefusedRecord);
            public slot: number;
            public queueId: (number|Integer64);
            public code: sluice.v1.AppendRefusal;
            public static encode(message: sluice.v1.IAppendRefusedRecord, writer?: $protobuf.Writer): $protobuf.Writer;
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): sluice.v1.AppendRefusedRecord;
        }
        enum AppendRefusal {
            APPEND_REFUSAL_UNSPECIFIED = 0,
            APPEND_REFUSAL_QUEUE_FULL = 1,
            APPEND_REFUSAL_QUEUE_UNKNOWN = 2,
            APPEND_REFUSAL_QUEUE_REMOVED = 3
        }
        interface IAppendLeading {
            partition?: (number|null);
            term?: (number|Integer64|null);
        }
        class AppendLeading implements IAppendLeading {
            constructor(properties?: sluice.v1.IAppendLeading);
            public partition: number;
            public term: (number|Integer64);
            public static encode(message: sluice.v1.IAppendLeading, writer?: $protobuf.Writer): $protobuf.Writer;
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): sluice.v1.AppendLeading;
        }
        interface IBackupMessage {
            json?: (Uint8Array|null);
            data?: (Uint8Array|null);
        }
        class BackupMessage implements IBackupMessage {
            constructor(properties?: sluice.v1.IBackupMessage);
            public json: Uint8Array;
            public data: Uint8Array;
            public static encode(message: sluice.v1.IBackupMessage, writer?: $protobuf.Writer): $protobuf.Writer;
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): sluice.v1.BackupMessage;
        }
        interface IPacked {
            head?: (Uint8Array|null);
            data?: (Uint8Array[]|null);
        }
        class Packed implements IPacked {
            constructor(properties?: sluice.v1.IPacked);
            public head: Uint8Array;
            public data: Uint8Array[];
            public static encode(message: sluice.v1.IPacked, writer?: $protobuf.Writer): $protobuf.Writer;
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): sluice.v1.Packed;
        }
        interface IPackedBatch {
            messages?: (sluice.v1.IPacked[]|null);
        }
        class PackedBatch implements IPackedBatch {
            constructor(properties?: sluice.v1.IPackedBatch);
            public messages: sluice.v1.IPacked[];
            public static encode(message: sluice.v1.IPackedBatch, writer?: $protobuf.Writer): $protobuf.Writer;
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): sluice.v1.PackedBatch;
        }
        interface IJson {
            json?: (Uint8Array|null);
        }
        class Json implements IJson {
            constructor(properties?: sluice.v1.IJson);
            public json: Uint8Array;
            public static encode(message: sluice.v1.IJson, writer?: $protobuf.Writer): $protobuf.Writer;
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): sluice.v1.Json;
        }
        interface IStoreAdminMessage {
            json?: (Uint8Array|null);
            data?: (Uint8Array[]|null);
        }
        class StoreAdminMessage implements IStoreAdminMessage {
            constructor(properties?: sluice.v1.IStoreAdminMessage);
            public json: Uint8Array;
            public data: Uint8Array[];
            public static encode(message: sluice.v1.IStoreAdminMessage, writer?: $protobuf.Writer): $protobuf.Writer;
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): sluice.v1.StoreAdminMessage;
        }
        interface ITopologyMessageBatch {
            messages?: (sluice.v1.ITopologyMessage[]|null);
        }
        class TopologyMessageBatch implements ITopologyMessageBatch {
            constructor(properties?: sluice.v1.ITopologyMessageBatch);
            public messages: sluice.v1.ITopologyMessage[];
            public static encode(message: sluice.v1.ITopologyMessageBatch, writer?: $protobuf.Writer): $protobuf.Writer;
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): sluice.v1.TopologyMessageBatch;
        }
        interface ITopologyMessage {
            json?: (Uint8Array|null);
            queues?: (Uint8Array|null);
        }
        class TopologyMessage implements ITopologyMessage {
            constructor(properties?: sluice.v1.ITopologyMessage);
            public json: Uint8Array;
            public queues: Uint8Array;
            public static encode(message: sluice.v1.ITopologyMessage, writer?: $protobuf.Writer): $protobuf.Writer;
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): sluice.v1.TopologyMessage;
        }
    }
}
