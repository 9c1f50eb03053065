// @ts-nocheck
// Made from proto/v1 by generate-wire.mjs; not to be edited.
import $protobuf from 'protobufjs/minimal.js';
import type { sluice as types } from './v1-types.ts';

const $Reader = $protobuf.Reader, $Writer = $protobuf.Writer, $util = $protobuf.util;

const $root: any = {};

$root.sluice = (() => {

    const sluice = {};

    sluice.v1 = (function() {

        const v1 = {};

        v1.AppendRequestBatch = (function() {

            function AppendRequestBatch(properties) {
                this.messages = [];
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            AppendRequestBatch.prototype.messages = $util.emptyArray;

            AppendRequestBatch.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.messages != null && message.messages.length)
                    for (let i = 0; i < message.messages.length; ++i)
                        $root.sluice.v1.AppendRequest.encode(message.messages[i], writer.uint32(10).fork(), q + 1).ldelim();
                return writer;
            };

            AppendRequestBatch.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.sluice.v1.AppendRequestBatch();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            if (!(message.messages && message.messages.length))
                                message.messages = [];
                            message.messages.push($root.sluice.v1.AppendRequest.decode(reader, reader.uint32(), undefined, long + 1));
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return AppendRequestBatch;
        })();

        v1.AppendRequest = (function() {

            function AppendRequest(properties) {
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            AppendRequest.prototype.sequence = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            AppendRequest.prototype.partition = 0;
            AppendRequest.prototype.batch = $util.newBuffer([]);

            AppendRequest.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.sequence != null && Object.hasOwnProperty.call(message, "sequence"))
                    writer.uint32(8).uint64(message.sequence);
                if (message.partition != null && Object.hasOwnProperty.call(message, "partition"))
                    writer.uint32(16).uint32(message.partition);
                if (message.batch != null && Object.hasOwnProperty.call(message, "batch"))
                    writer.uint32(34).bytes(message.batch);
                return writer;
            };

            AppendRequest.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.sluice.v1.AppendRequest();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            message.sequence = reader.uint64();
                            break;
                        }
                    case 2: {
                            message.partition = reader.uint32();
                            break;
                        }
                    case 4: {
                            message.batch = reader.bytes();
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return AppendRequest;
        })();

        v1.AppendResponseBatch = (function() {

            function AppendResponseBatch(properties) {
                this.messages = [];
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            AppendResponseBatch.prototype.messages = $util.emptyArray;

            AppendResponseBatch.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.messages != null && message.messages.length)
                    for (let i = 0; i < message.messages.length; ++i)
                        $root.sluice.v1.AppendResponse.encode(message.messages[i], writer.uint32(10).fork(), q + 1).ldelim();
                return writer;
            };

            AppendResponseBatch.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.sluice.v1.AppendResponseBatch();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            if (!(message.messages && message.messages.length))
                                message.messages = [];
                            message.messages.push($root.sluice.v1.AppendResponse.decode(reader, reader.uint32(), undefined, long + 1));
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return AppendResponseBatch;
        })();

        v1.AppendResponse = (function() {

            function AppendResponse(properties) {
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            AppendResponse.prototype.answer = null;
            AppendResponse.prototype.leading = null;

            AppendResponse.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.answer != null && Object.hasOwnProperty.call(message, "answer"))
                    $root.sluice.v1.AppendAnswer.encode(message.answer, writer.uint32(10).fork(), q + 1).ldelim();
                if (message.leading != null && Object.hasOwnProperty.call(message, "leading"))
                    $root.sluice.v1.AppendLeading.encode(message.leading, writer.uint32(18).fork(), q + 1).ldelim();
                return writer;
            };

            AppendResponse.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.sluice.v1.AppendResponse();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            message.answer = $root.sluice.v1.AppendAnswer.decode(reader, reader.uint32(), undefined, long + 1);
                            break;
                        }
                    case 2: {
                            message.leading = $root.sluice.v1.AppendLeading.decode(reader, reader.uint32(), undefined, long + 1);
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return AppendResponse;
        })();

        v1.AppendAnswer = (function() {

            function AppendAnswer(properties) {
                this.refused = [];
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            AppendAnswer.prototype.sequence = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            AppendAnswer.prototype.status = 0;
            AppendAnswer.prototype.refused = $util.emptyArray;
            AppendAnswer.prototype.leader = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

            AppendAnswer.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.sequence != null && Object.hasOwnProperty.call(message, "sequence"))
                    writer.uint32(8).uint64(message.sequence);
                if (message.status != null && Object.hasOwnProperty.call(message, "status"))
                    writer.uint32(16).int32(message.status);
                if (message.refused != null && message.refused.length)
                    for (let i = 0; i < message.refused.length; ++i)
                        $root.sluice.v1.AppendRefusedRecord.encode(message.refused[i], writer.uint32(26).fork(), q + 1).ldelim();
                if (message.leader != null && Object.hasOwnProperty.call(message, "leader"))
                    writer.uint32(32).uint64(message.leader);
                return writer;
            };

            AppendAnswer.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.sluice.v1.AppendAnswer();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            message.sequence = reader.uint64();
                            break;
                        }
                    case 2: {
                            message.status = reader.int32();
                            break;
                        }
                    case 3: {
                            if (!(message.refused && message.refused.length))
                                message.refused = [];
                            message.refused.push($root.sluice.v1.AppendRefusedRecord.decode(reader, reader.uint32(), undefined, long + 1));
                            break;
                        }
                    case 4: {
                            message.leader = reader.uint64();
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return AppendAnswer;
        })();

        v1.AppendStatus = (function() {
            const valuesById = {}, values = Object.create(valuesById);
            values[valuesById[0] = "APPEND_STATUS_UNSPECIFIED"] = 0;
            values[valuesById[1] = "APPEND_STATUS_COMMITTED"] = 1;
            values[valuesById[2] = "APPEND_STATUS_UNKNOWN"] = 2;
            values[valuesById[3] = "APPEND_STATUS_NOT_LEADER"] = 3;
            values[valuesById[4] = "APPEND_STATUS_STORAGE_FULL"] = 4;
            values[valuesById[5] = "APPEND_STATUS_BUSY"] = 5;
            values[valuesById[6] = "APPEND_STATUS_UNAVAILABLE"] = 6;
            values[valuesById[7] = "APPEND_STATUS_OUT_OF_ORDER"] = 7;
            return values;
        })();

        v1.AppendRefusedRecord = (function() {

            function AppendRefusedRecord(properties) {
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            AppendRefusedRecord.prototype.slot = 0;
            AppendRefusedRecord.prototype.queueId = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            AppendRefusedRecord.prototype.code = 0;

            AppendRefusedRecord.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.slot != null && Object.hasOwnProperty.call(message, "slot"))
                    writer.uint32(8).uint32(message.slot);
                if (message.queueId != null && Object.hasOwnProperty.call(message, "queueId"))
                    writer.uint32(16).uint64(message.queueId);
                if (message.code != null && Object.hasOwnProperty.call(message, "code"))
                    writer.uint32(24).int32(message.code);
                return writer;
            };

            AppendRefusedRecord.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.sluice.v1.AppendRefusedRecord();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            message.slot = reader.uint32();
                            break;
                        }
                    case 2: {
                            message.queueId = reader.uint64();
                            break;
                        }
                    case 3: {
                            message.code = reader.int32();
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return AppendRefusedRecord;
        })();

        v1.AppendRefusal = (function() {
            const valuesById = {}, values = Object.create(valuesById);
            values[valuesById[0] = "APPEND_REFUSAL_UNSPECIFIED"] = 0;
            values[valuesById[1] = "APPEND_REFUSAL_QUEUE_FULL"] = 1;
            values[valuesById[2] = "APPEND_REFUSAL_QUEUE_UNKNOWN"] = 2;
            values[valuesById[3] = "APPEND_REFUSAL_QUEUE_REMOVED"] = 3;
            return values;
        })();

        v1.AppendLeading = (function() {

            function AppendLeading(properties) {
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            AppendLeading.prototype.partition = 0;
            AppendLeading.prototype.term = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

            AppendLeading.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.partition != null && Object.hasOwnProperty.call(message, "partition"))
                    writer.uint32(8).uint32(message.partition);
                if (message.term != null && Object.hasOwnProperty.call(message, "term"))
                    writer.uint32(16).uint64(message.term);
                return writer;
            };

            AppendLeading.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.sluice.v1.AppendLeading();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            message.partition = reader.uint32();
                            break;
                        }
                    case 2: {
                            message.term = reader.uint64();
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return AppendLeading;
        })();

        v1.BackupMessage = (function() {

            function BackupMessage(properties) {
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            BackupMessage.prototype.json = $util.newBuffer([]);
            BackupMessage.prototype.data = $util.newBuffer([]);

            BackupMessage.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.json != null && Object.hasOwnProperty.call(message, "json"))
                    writer.uint32(10).bytes(message.json);
                if (message.data != null && Object.hasOwnProperty.call(message, "data"))
                    writer.uint32(18).bytes(message.data);
                return writer;
            };

            BackupMessage.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.sluice.v1.BackupMessage();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            message.json = reader.bytes();
                            break;
                        }
                    case 2: {
                            message.data = reader.bytes();
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return BackupMessage;
        })();

        v1.Packed = (function() {

            function Packed(properties) {
                this.data = [];
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            Packed.prototype.head = $util.newBuffer([]);
            Packed.prototype.data = $util.emptyArray;

            Packed.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.head != null && Object.hasOwnProperty.call(message, "head"))
                    writer.uint32(10).bytes(message.head);
                if (message.data != null && message.data.length)
                    for (let i = 0; i < message.data.length; ++i)
                        writer.uint32(18).bytes(message.data[i]);
                return writer;
            };

            Packed.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.sluice.v1.Packed();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            message.head = reader.bytes();
                            break;
                        }
                    case 2: {
                            if (!(message.data && message.data.length))
                                message.data = [];
                            message.data.push(reader.bytes());
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return Packed;
        })();

        v1.PackedBatch = (function() {

            function PackedBatch(properties) {
                this.messages = [];
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            PackedBatch.prototype.messages = $util.emptyArray;

            PackedBatch.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.messages != null && message.messages.length)
                    for (let i = 0; i < message.messages.length; ++i)
                        $root.sluice.v1.Packed.encode(message.messages[i], writer.uint32(10).fork(), q + 1).ldelim();
                return writer;
            };

            PackedBatch.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.sluice.v1.PackedBatch();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            if (!(message.messages && message.messages.length))
                                message.messages = [];
                            message.messages.push($root.sluice.v1.Packed.decode(reader, reader.uint32(), undefined, long + 1));
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return PackedBatch;
        })();

        v1.Json = (function() {

            function Json(properties) {
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            Json.prototype.json = $util.newBuffer([]);

            Json.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.json != null && Object.hasOwnProperty.call(message, "json"))
                    writer.uint32(10).bytes(message.json);
                return writer;
            };

            Json.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.sluice.v1.Json();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            message.json = reader.bytes();
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return Json;
        })();

        v1.StoreAdminMessage = (function() {

            function StoreAdminMessage(properties) {
                this.data = [];
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            StoreAdminMessage.prototype.json = $util.newBuffer([]);
            StoreAdminMessage.prototype.data = $util.emptyArray;

            StoreAdminMessage.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.json != null && Object.hasOwnProperty.call(message, "json"))
                    writer.uint32(10).bytes(message.json);
                if (message.data != null && message.data.length)
                    for (let i = 0; i < message.data.length; ++i)
                        writer.uint32(18).bytes(message.data[i]);
                return writer;
            };

            StoreAdminMessage.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.sluice.v1.StoreAdminMessage();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            message.json = reader.bytes();
                            break;
                        }
                    case 2: {
                            if (!(message.data && message.data.length))
                                message.data = [];
                            message.data.push(reader.bytes());
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return StoreAdminMessage;
        })();

        v1.TopologyMessageBatch = (function() {

            function TopologyMessageBatch(properties) {
                this.messages = [];
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            TopologyMessageBatch.prototype.messages = $util.emptyArray;

            TopologyMessageBatch.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.messages != null && message.messages.length)
                    for (let i = 0; i < message.messages.length; ++i)
                        $root.sluice.v1.TopologyMessage.encode(message.messages[i], writer.uint32(10).fork(), q + 1).ldelim();
                return writer;
            };

            TopologyMessageBatch.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.sluice.v1.TopologyMessageBatch();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            if (!(message.messages && message.messages.length))
                                message.messages = [];
                            message.messages.push($root.sluice.v1.TopologyMessage.decode(reader, reader.uint32(), undefined, long + 1));
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return TopologyMessageBatch;
        })();

        v1.TopologyMessage = (function() {

            function TopologyMessage(properties) {
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            TopologyMessage.prototype.json = $util.newBuffer([]);
            TopologyMessage.prototype.queues = $util.newBuffer([]);

            TopologyMessage.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.json != null && Object.hasOwnProperty.call(message, "json"))
                    writer.uint32(10).bytes(message.json);
                if (message.queues != null && Object.hasOwnProperty.call(message, "queues"))
                    writer.uint32(18).bytes(message.queues);
                return writer;
            };

            TopologyMessage.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.sluice.v1.TopologyMessage();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            message.json = reader.bytes();
                            break;
                        }
                    case 2: {
                            message.queues = reader.bytes();
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return TopologyMessage;
        })();

        return v1;
    })();

    return sluice;
})();

export const v1: typeof types.v1 = $root.sluice.v1;
