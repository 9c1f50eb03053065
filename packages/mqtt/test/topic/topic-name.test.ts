import { describe, expect, test } from '@jest/globals';
import {
  isDollarTopic,
  isTopicName,
  TOPIC_BYTES_MAX,
  TOPIC_LEVELS_MAX,
  topicNameProblem,
} from '@sluice/mqtt/topic/topic-name';

describe('a topic name', () => {
  test.each([
    'a',
    '/',
    '//',
    ' ',
    'a/b/c',
    '/a',
    'a/',
    '$SYS/x',
    '__proto__',
    'größe/温度/😀',
    'a\u0001b',
    '$share/g/t',
  ])('%j is valid', (topic) => {
    expect(topicNameProblem(topic)).toBeUndefined();
    expect(isTopicName(topic)).toBe(true);
  });

  test.each([
    ['', 'MQTT-4.7.3-1'],
    ['a/+', 'MQTT-3.3.2-2'],
    ['a+b', 'MQTT-3.3.2-2'],
    ['#', 'MQTT-3.3.2-2'],
    ['a\u0000', 'MQTT-4.7.3-2'],
    ['\ud800', 'MQTT-1.5.4-1'],
    ['a\udc00b', 'MQTT-1.5.4-1'],
    ['\ud800\ud800', 'MQTT-1.5.4-1'],
  ])('%j is refused by %s', (topic, clause) => {
    expect(topicNameProblem(topic)).toContain(clause);
    expect(isTopicName(topic)).toBe(false);
  });

  test('has at most so many levels', () => {
    expect(isTopicName('/'.repeat(TOPIC_LEVELS_MAX - 1))).toBe(true);
    expect(topicNameProblem('/'.repeat(TOPIC_LEVELS_MAX))).toContain('levels');
  });

  test('is measured in bytes, not in characters', () => {
    expect(isTopicName('a'.repeat(TOPIC_BYTES_MAX))).toBe(true);
    expect(topicNameProblem('a'.repeat(TOPIC_BYTES_MAX + 1))).toContain('bytes');
    expect(isTopicName('温'.repeat(21_845))).toBe(true);
    expect(isTopicName('温'.repeat(21_846))).toBe(false);
  });
});

test('only a dollar in front makes a dollar topic', () => {
  expect(isDollarTopic('$SYS/x')).toBe(true);
  expect(isDollarTopic('a/$SYS')).toBe(false);
  expect(isDollarTopic('')).toBe(false);
});
