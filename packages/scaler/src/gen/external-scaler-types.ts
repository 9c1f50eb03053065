// Made from proto/keda by generate-wire.mjs; not to be edited.
import type $protobuf from 'protobufjs/minimal.js';
export interface Integer64 {
    low: number;
    high: number;
}
export declare namespace externalscaler {
    interface IScaledObjectRef {
        name?: (string|null);
        namespace?: (string|null);
        scalerMetadata?: ({ [k: string]: string }|null);
    }
    class ScaledObjectRef implements IScaledObjectRef {
        constructor(properties?: externalscaler.IScaledObjectRef);
        public name: string;
        public namespace: string;
        public scalerMetadata: { [k: string]: string };
        public static encode(message: externalscaler.IScaledObjectRef, writer?: $protobuf.Writer): $protobuf.Writer;
        public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): externalscaler.ScaledObjectRef;
    }
    interface IIsActiveResponse {
        result?: (boolean|null);
    }
    class IsActiveResponse implements IIsActiveResponse {
        constructor(properties?: externalscaler.IIsActiveResponse);
        public result: boolean;
        public static encode(message: externalscaler.IIsActiveResponse, writer?: $protobuf.Writer): $protobuf.Writer;
        public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): externalscaler.IsActiveResponse;
    }
    interface IGetMetricSpecResponse {
        metricSpecs?: (externalscaler.IMetricSpec[]|null);
    }
    class GetMetricSpecResponse implements IGetMetricSpecResponse {
        constructor(properties?: externalscaler.IGetMetricSpecResponse);
        public metricSpecs: externalscaler.IMetricSpec[];
        public static encode(message: externalscaler.IGetMetricSpecResponse, writer?: $protobuf.Writer): $protobuf.Writer;
        public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): externalscaler.GetMetricSpecResponse;
    }
    interface IMetricSpec {
        metricName?: (string|null);
        targetSize?: (number|Integer64|null);
        targetSizeFloat?: (number|null);
    }
    class MetricSpec implements IMetricSpec {
        constructor(properties?: externalscaler.IMetricSpec);
        public metricName: string;
        public targetSize: (number|Integer64);
        public targetSizeFloat: number;
        public static encode(message: externalscaler.IMetricSpec, writer?: $protobuf.Writer): $protobuf.Writer;
        public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): externalscaler.MetricSpec;
    }
    interface IGetMetricsRequest {
        scaledObjectRef?: (externalscaler.IScaledObjectRef|null);
        metricName?: (string|null);
    }
    class GetMetricsRequest implements IGetMetricsRequest {
        constructor(properties?: externalscaler.IGetMetricsRequest);
        public scaledObjectRef?: (externalscaler.IScaledObjectRef|null);
        public metricName: string;
        public static encode(message: externalscaler.IGetMetricsRequest, writer?: $protobuf.Writer): $protobuf.Writer;
        public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): externalscaler.GetMetricsRequest;
    }
    interface IGetMetricsResponse {
        metricValues?: (externalscaler.IMetricValue[]|null);
    }
    class GetMetricsResponse implements IGetMetricsResponse {
        constructor(properties?: externalscaler.IGetMetricsResponse);
        public metricValues: externalscaler.IMetricValue[];
        public static encode(message: externalscaler.IGetMetricsResponse, writer?: $protobuf.Writer): $protobuf.Writer;
        public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): externalscaler.GetMetricsResponse;
    }
    interface IMetricValue {
        metricName?: (string|null);
        metricValue?: (number|Integer64|null);
        metricValueFloat?: (number|null);
    }
    class MetricValue implements IMetricValue {
        constructor(properties?: externalscaler.IMetricValue);
        public metricName: string;
        public metricValue: (number|Integer64);
        public metricValueFloat: number;
        public static encode(message: externalscaler.IMetricValue, writer?: $protobuf.Writer): $protobuf.Writer;
        public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): externalscaler.MetricValue;
    }
}
