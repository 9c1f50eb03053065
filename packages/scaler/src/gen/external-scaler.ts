// @ts-nocheck
// Made from proto/keda by generate-wire.mjs; not to be edited.
import $protobuf from 'protobufjs/minimal.js';
import type { externalscaler as types } from './external-scaler-types.ts';

const $Reader = $protobuf.Reader, $Writer = $protobuf.Writer, $util = $protobuf.util;

const $root: any = {};

$root.externalscaler = (() => {

    const externalscaler = {};

    externalscaler.ScaledObjectRef = (function() {

        function ScaledObjectRef(properties) {
            this.scalerMetadata = {};
            if (properties)
                for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                    if (properties[keys[i]] != null && keys[i] !== "__proto__")
                        this[keys[i]] = properties[keys[i]];
        }

        ScaledObjectRef.prototype.name = "";
        ScaledObjectRef.prototype.namespace = "";
        ScaledObjectRef.prototype.scalerMetadata = $util.emptyObject;

        ScaledObjectRef.encode = function encode(message, writer, q) {
            if (!writer)
                writer = $Writer.create();
            if (q === undefined)
                q = 0;
            if (q > $util.recursionLimit)
                throw Error("max depth exceeded");
            if (message.name != null && Object.hasOwnProperty.call(message, "name"))
                writer.uint32(10).string(message.name);
            if (message.namespace != null && Object.hasOwnProperty.call(message, "namespace"))
                writer.uint32(18).string(message.namespace);
            if (message.scalerMetadata != null && Object.hasOwnProperty.call(message, "scalerMetadata"))
                for (let keys = Object.keys(message.scalerMetadata), i = 0; i < keys.length; ++i)
                    writer.uint32(26).fork().uint32(10).string(keys[i]).uint32(18).string(message.scalerMetadata[keys[i]]).ldelim();
            return writer;
        };

        ScaledObjectRef.decode = function decode(reader, length, error, long) {
            if (!(reader instanceof $Reader))
                reader = $Reader.create(reader);
            if (long === undefined)
                long = 0;
            if (long > $Reader.recursionLimit)
                throw Error("maximum nesting depth exceeded");
            let end, message, key, value;
            if (length === undefined)
                end = reader.len;
            else {
                end = reader.pos + length;
                if (end > reader.len)
                    throw RangeError("index out of range");
                length = reader.len;
                reader.len = end;
            }
            message = new $root.externalscaler.ScaledObjectRef();
            while (reader.pos < end) {
                let tag = reader.uint32();
                if (tag === error)
                    break;
                switch (tag >>> 3) {
                case 1: {
                        message.name = reader.string();
                        break;
                    }
                case 2: {
                        message.namespace = reader.string();
                        break;
                    }
                case 3: {
                        if (message.scalerMetadata === $util.emptyObject)
                            message.scalerMetadata = {};
                        let end2 = reader.uint32() + reader.pos;
                        if (end2 > reader.len)
                            throw RangeError("index out of range");
                        reader.len = end2;
                        key = "";
                        value = "";
                        while (reader.pos < end2) {
                            let tag2 = reader.uint32();
                            switch (tag2 >>> 3) {
                            case 1:
                                key = reader.string();
                                break;
                            case 2:
                                value = reader.string();
                                break;
                            default:
                                reader.skipType(tag2 & 7, long);
                                break;
                            }
                        }
                        if (reader.pos !== end2)
                            throw RangeError("index out of range");
                        reader.len = end;
                        if (key === "__proto__")
                            $util.makeProp(message.scalerMetadata, key);
                        message.scalerMetadata[key] = value;
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

        return ScaledObjectRef;
    })();

    externalscaler.IsActiveResponse = (function() {

        function IsActiveResponse(properties) {
            if (properties)
                for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                    if (properties[keys[i]] != null && keys[i] !== "__proto__")
                        this[keys[i]] = properties[keys[i]];
        }

        IsActiveResponse.prototype.result = false;

        IsActiveResponse.encode = function encode(message, writer, q) {
            if (!writer)
                writer = $Writer.create();
            if (q === undefined)
                q = 0;
            if (q > $util.recursionLimit)
                throw Error("max depth exceeded");
            if (message.result != null && Object.hasOwnProperty.call(message, "result"))
                writer.uint32(8).bool(message.result);
            return writer;
        };

        IsActiveResponse.decode = function decode(reader, length, error, long) {
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
            message = new $root.externalscaler.IsActiveResponse();
            while (reader.pos < end) {
                let tag = reader.uint32();
                if (tag === error)
                    break;
                switch (tag >>> 3) {
                case 1: {
                        message.result = reader.bool();
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

        return IsActiveResponse;
    })();

    externalscaler.GetMetricSpecResponse = (function() {

        function GetMetricSpecResponse(properties) {
            this.metricSpecs = [];
            if (properties)
                for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                    if (properties[keys[i]] != null && keys[i] !== "__proto__")
                        this[keys[i]] = properties[keys[i]];
        }

        GetMetricSpecResponse.prototype.metricSpecs = $util.emptyArray;

        GetMetricSpecResponse.encode = function encode(message, writer, q) {
            if (!writer)
                writer = $Writer.create();
            if (q === undefined)
                q = 0;
            if (q > $util.recursionLimit)
                throw Error("max depth exceeded");
            if (message.metricSpecs != null && message.metricSpecs.length)
                for (let i = 0; i < message.metricSpecs.length; ++i)
                    $root.externalscaler.MetricSpec.encode(message.metricSpecs[i], writer.uint32(10).fork(), q + 1).ldelim();
            return writer;
        };

        GetMetricSpecResponse.decode = function decode(reader, length, error, long) {
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
            message = new $root.externalscaler.GetMetricSpecResponse();
            while (reader.pos < end) {
                let tag = reader.uint32();
                if (tag === error)
                    break;
                switch (tag >>> 3) {
                case 1: {
                        if (!(message.metricSpecs && message.metricSpecs.length))
                            message.metricSpecs = [];
                        message.metricSpecs.push($root.externalscaler.MetricSpec.decode(reader, reader.uint32(), undefined, long + 1));
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

        return GetMetricSpecResponse;
    })();

    externalscaler.MetricSpec = (function() {

        function MetricSpec(properties) {
            if (properties)
                for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                    if (properties[keys[i]] != null && keys[i] !== "__proto__")
                        this[keys[i]] = properties[keys[i]];
        }

        MetricSpec.prototype.metricName = "";
        MetricSpec.prototype.targetSize = $util.Long ? $util.Long.fromBits(0,0,false) : 0;
        MetricSpec.prototype.targetSizeFloat = 0;

        MetricSpec.encode = function encode(message, writer, q) {
            if (!writer)
                writer = $Writer.create();
            if (q === undefined)
                q = 0;
            if (q > $util.recursionLimit)
                throw Error("max depth exceeded");
            if (message.metricName != null && Object.hasOwnProperty.call(message, "metricName"))
                writer.uint32(10).string(message.metricName);
            if (message.targetSize != null && Object.hasOwnProperty.call(message, "targetSize"))
                writer.uint32(16).int64(message.targetSize);
            if (message.targetSizeFloat != null && Object.hasOwnProperty.call(message, "targetSizeFloat"))
                writer.uint32(25).double(message.targetSizeFloat);
            return writer;
        };

        MetricSpec.decode = function decode(reader, length, error, long) {
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
            message = new $root.externalscaler.MetricSpec();
            while (reader.pos < end) {
                let tag = reader.uint32();
                if (tag === error)
                    break;
                switch (tag >>> 3) {
                case 1: {
                        message.metricName = reader.string();
                        break;
                    }
                case 2: {
                        message.targetSize = reader.int64();
                        break;
                    }
                case 3: {
                        message.targetSizeFloat = reader.double();
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

        return MetricSpec;
    })();

    externalscaler.GetMetricsRequest = (function() {

        function GetMetricsRequest(properties) {
            if (properties)
                for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                    if (properties[keys[i]] != null && keys[i] !== "__proto__")
                        this[keys[i]] = properties[keys[i]];
        }

        GetMetricsRequest.prototype.scaledObjectRef = null;
        GetMetricsRequest.prototype.metricName = "";

        GetMetricsRequest.encode = function encode(message, writer, q) {
            if (!writer)
                writer = $Writer.create();
            if (q === undefined)
                q = 0;
            if (q > $util.recursionLimit)
                throw Error("max depth exceeded");
            if (message.scaledObjectRef != null && Object.hasOwnProperty.call(message, "scaledObjectRef"))
                $root.externalscaler.ScaledObjectRef.encode(message.scaledObjectRef, writer.uint32(10).fork(), q + 1).ldelim();
            if (message.metricName != null && Object.hasOwnProperty.call(message, "metricName"))
                writer.uint32(18).string(message.metricName);
            return writer;
        };

        GetMetricsRequest.decode = function decode(reader, length, error, long) {
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
            message = new $root.externalscaler.GetMetricsRequest();
            while (reader.pos < end) {
                let tag = reader.uint32();
                if (tag === error)
                    break;
                switch (tag >>> 3) {
                case 1: {
                        message.scaledObjectRef = $root.externalscaler.ScaledObjectRef.decode(reader, reader.uint32(), undefined, long + 1);
                        break;
                    }
                case 2: {
                        message.metricName = reader.string();
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

        return GetMetricsRequest;
    })();

    externalscaler.GetMetricsResponse = (function() {

        function GetMetricsResponse(properties) {
            this.metricValues = [];
            if (properties)
                for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                    if (properties[keys[i]] != null && keys[i] !== "__proto__")
                        this[keys[i]] = properties[keys[i]];
        }

        GetMetricsResponse.prototype.metricValues = $util.emptyArray;

        GetMetricsResponse.encode = function encode(message, writer, q) {
            if (!writer)
                writer = $Writer.create();
            if (q === undefined)
                q = 0;
            if (q > $util.recursionLimit)
                throw Error("max depth exceeded");
            if (message.metricValues != null && message.metricValues.length)
                for (let i = 0; i < message.metricValues.length; ++i)
                    $root.externalscaler.MetricValue.encode(message.metricValues[i], writer.uint32(10).fork(), q + 1).ldelim();
            return writer;
        };

        GetMetricsResponse.decode = function decode(reader, length, error, long) {
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
            message = new $root.externalscaler.GetMetricsResponse();
            while (reader.pos < end) {
                let tag = reader.uint32();
                if (tag === error)
                    break;
                switch (tag >>> 3) {
                case 1: {
                        if (!(message.metricValues && message.metricValues.length))
                            message.metricValues = [];
                        message.metricValues.push($root.externalscaler.MetricValue.decode(reader, reader.uint32(), undefined, long + 1));
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

        return GetMetricsResponse;
    })();

    externalscaler.MetricValue = (function() {

        function MetricValue(properties) {
            if (properties)
                for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                    if (properties[keys[i]] != null && keys[i] !== "__proto__")
                        this[keys[i]] = properties[keys[i]];
        }

        MetricValue.prototype.metricName = "";
        MetricValue.prototype.metricValue = $util.Long ? $util.Long.fromBits(0,0,false) : 0;
        MetricValue.prototype.metricValueFloat = 0;

        MetricValue.encode = function encode(message, writer, q) {
            if (!writer)
                writer = $Writer.create();
            if (q === undefined)
                q = 0;
            if (q > $util.recursionLimit)
                throw Error("max depth exceeded");
            if (message.metricName != null && Object.hasOwnProperty.call(message, "metricName"))
                writer.uint32(10).string(message.metricName);
            if (message.metricValue != null && Object.hasOwnProperty.call(message, "metricValue"))
                writer.uint32(16).int64(message.metricValue);
            if (message.metricValueFloat != null && Object.hasOwnProperty.call(message, "metricValueFloat"))
                writer.uint32(25).double(message.metricValueFloat);
            return writer;
        };

        MetricValue.decode = function decode(reader, length, error, long) {
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
            message = new $root.externalscaler.MetricValue();
            while (reader.pos < end) {
                let tag = reader.uint32();
                if (tag === error)
                    break;
                switch (tag >>> 3) {
                case 1: {
                        message.metricName = reader.string();
                        break;
                    }
                case 2: {
                        message.metricValue = reader.int64();
                        break;
                    }
                case 3: {
                        message.metricValueFloat = reader.double();
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

        return MetricValue;
    })();

    return externalscaler;
})();

export const externalscaler: typeof types = $root.externalscaler;
