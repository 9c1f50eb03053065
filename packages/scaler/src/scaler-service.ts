import {
  type handleUnaryCall,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import type $protobuf from 'protobufjs/minimal.js';
import { externalscaler as wire } from './gen/external-scaler.ts';
import type { externalscaler as types } from './gen/external-scaler-types.ts';
import type { NoFigure, Scaler } from './scaler.ts';
import { readTrigger, type Trigger } from './trigger.ts';

/** What a value is called; KEDA puts the trigger's number before it. */
const MESSAGES = 'messages';
const WORKERS = 'workers';

const PATH = '/externalscaler.ExternalScaler';

/** `externalscaler.ExternalScaler` (proto/keda): the answers of a `Scaler` in KEDA's words. */
export const SCALER_SERVICE: ServiceDefinition = {
  isActive: method('IsActive', false, wire.ScaledObjectRef, wire.IsActiveResponse),
  streamIsActive: method('StreamIsActive', true, wire.ScaledObjectRef, wire.IsActiveResponse),
  getMetricSpec: method('GetMetricSpec', false, wire.ScaledObjectRef, wire.GetMetricSpecResponse),
  getMetrics: method('GetMetrics', false, wire.GetMetricsRequest, wire.GetMetricsResponse),
};

export function scalerHandlers(scaler: Scaler, asked: (method: string, outcome: string) => void) {
  /** Every answer counts, the failed ones by what is wrong. */
  const unary =
    <Request, Response>(
      name: string,
      triggerOf: (request: Request) => types.IScaledObjectRef | null | undefined,
      answer: (trigger: Trigger, request: Request) => Promise<Response | NoFigure>,
    ): handleUnaryCall<Request, Response> =>
    (call: ServerUnaryCall<Request, Response>, done: sendUnaryData<Response>) => {
      const fail = (code: status, details: string): void => {
        asked(name, status[code].toLowerCase());
        done({ code, details });
      };
      const trigger = triggerIn(triggerOf(call.request));
      if (typeof trigger === 'string') {
        fail(status.INVALID_ARGUMENT, trigger);
        return;
      }
      answer(trigger, call.request).then(
        (response) => {
          if (isNoFigure(response)) {
            fail(response.problem === 'no-queue' ? status.NOT_FOUND : status.UNAVAILABLE, response.message);
            return;
          }
          asked(name, 'ok');
          done(null, response);
        },
        (cause: Error) => fail(status.INTERNAL, cause.message),
      );
    };

  return {
    isActive: unary<types.ScaledObjectRef, types.IIsActiveResponse>(
      'IsActive',
      (request) => request,
      async (trigger) => {
        const result = await scaler.isActive(trigger);
        return typeof result === 'boolean' ? { result } : result;
      },
    ),
    getMetricSpec: unary<types.ScaledObjectRef, types.IGetMetricSpecResponse>(
      'GetMetricSpec',
      (request) => request,
      async (trigger) => {
        const share = scaler.shareOf(trigger);
        const metricName = metricNameOf(trigger);
        return { metricSpecs: [{ metricName, targetSize: Math.max(1, Math.round(share)), targetSizeFloat: share }] };
      },
    ),
    getMetrics: unary<types.GetMetricsRequest, types.IGetMetricsResponse>(
      'GetMetrics',
      (request) => request.scaledObjectRef,
      async (trigger, { metricName }) => {
        const value = await scaler.demand(trigger);
        if (typeof value !== 'number') return value;
        const name = metricName === '' ? metricNameOf(trigger) : metricName;
        return { metricValues: [{ metricName: name, metricValue: Math.ceil(value), metricValueFloat: value }] };
      },
    ),
    streamIsActive(call: ServerWritableStream<types.ScaledObjectRef, types.IIsActiveResponse>): void {
      const trigger = triggerIn(call.request);
      const fail = (code: status, details: string): void => {
        asked('StreamIsActive', status[code].toLowerCase());
        call.emit('error', { code, details });
      };
      if (typeof trigger === 'string') {
        fail(status.INVALID_ARGUMENT, trigger);
        return;
      }
      const stop = scaler.activity.watch(trigger, (result) => call.write({ result }));
      if (stop === undefined) {
        fail(status.RESOURCE_EXHAUSTED, 'too many triggers wait here: use the pull type, or ask another node');
        return;
      }
      asked('StreamIsActive', 'ok');
      call.on('cancelled', stop);
      call.on('close', stop);
    },
  };
}

/** An object made of a map that a stranger filled: read by its entries, never by a name. */
function triggerIn(ref: types.IScaledObjectRef | null | undefined): Trigger | string {
  return readTrigger(new Map(Object.entries(ref?.scalerMetadata ?? {})));
}

function metricNameOf({ share }: Trigger): string {
  return 'messages' in share ? MESSAGES : WORKERS;
}

function isNoFigure(response: unknown): response is NoFigure {
  return typeof response === 'object' && response !== null && 'problem' in response;
}

interface MessageType<Read, Written> {
  encode(message: Written): $protobuf.Writer;
  decode(bytes: Uint8Array): Read;
}

function method<Request, Response>(
  name: string,
  responseStream: boolean,
  request: MessageType<Request, Request>,
  response: MessageType<unknown, Response>,
): ServiceDefinition[string] {
  return {
    path: `${PATH}/${name}`,
    requestStream: false,
    responseStream,
    requestSerialize: (message: Request) => Buffer.from(request.encode(message).finish()),
    requestDeserialize: (bytes: Buffer) => request.decode(bytes),
    responseSerialize: (message: Response) => Buffer.from(response.encode(message).finish()),
    responseDeserialize: (bytes: Buffer) => response.decode(bytes),
  };
}
