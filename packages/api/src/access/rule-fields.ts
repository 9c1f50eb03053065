// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the placeholders of rules are written so.
import { ACCESS_ACTIONS, type AccessRule, ruleTopicProblem } from '@sluice/meta/access/access-rule';
import { accept, type Field, type FieldProblem, readFields, reject, show } from '../field/field.ts';
import { checkedTextField, choiceField } from '../field/scalar-fields.ts';

/** A list that ran away costs every connection its time. */
const RULES_MAX = 100;
const TOPIC_CHARACTERS_MAX = 1_024;

const FIELDS = {
  topic: checkedTextField(
    {
      description:
        'A topic filter; `${username}` and `${clientid}` are who asks; after `eq ` that filter literally. Governs queues and shared subscriptions of it as well.',
      charactersMax: TOPIC_CHARACTERS_MAX,
      example: 'home/${username}/#',
    },
    (topic) => {
      const problem = ruleTopicProblem(topic);
      return problem === undefined ? undefined : { message: problem, hint: '' };
    },
  ),
  permission: choiceField(['allow', 'deny'], { description: 'What the rule decides.' }),
  action: choiceField(ACCESS_ACTIONS, {
    description: '`subscribe` is every way of reading, queues included; `consume` is queues alone.',
  }),
  qos: qosField(),
  retain: retainField(),
};

export const RULE_SCHEMA = {
  $id: 'Rule',
  title: 'A rule',
  type: 'object',
  required: ['topic', 'permission', 'action'],
  additionalProperties: false,
  properties: Object.fromEntries(Object.entries(FIELDS).map(([name, field]) => [name, field.schema])),
};

/** A list of rules: read whole or refused whole. */
export const rulesField: Field<AccessRule[]> = {
  schema: {
    type: 'array',
    maxItems: RULES_MAX,
    items: { $ref: 'Rule#' },
    description: 'Read from the first to the last; the first that concerns what is asked decides.',
  },
  read: (value) => {
    if (!Array.isArray(value)) return reject(`must be a list of rules, not ${show(value)}`);
    if (value.length > RULES_MAX) return reject(`has more than ${RULES_MAX} rules`);
    const rules: AccessRule[] = [];
    const problems: FieldProblem[] = [];
    for (const [i, item] of value.entries()) {
      const read = readFields(FIELDS, item, () => undefined);
      for (const problem of read.problems)
        problems.push({ ...problem, path: `${i}${problem.path && `.${problem.path}`}` });
      const { topic, permission, action, qos, retain } = read.values;
      if (topic !== undefined && permission !== undefined && action !== undefined) {
        rules.push({ permission, action, topic, qos, retain: retain === 'all' ? undefined : retain });
      } else if (read.problems.length === 0) {
        problems.push({ path: String(i), message: 'needs topic, permission and action', hint: '' });
      }
      if (problems.length > 0) return { ok: false, problems };
    }
    return accept(rules);
  },
};

export function ruleView({ topic, permission, action, qos, retain }: AccessRule): Record<string, unknown> {
  return { topic, permission, action, qos: qos ?? [0, 1, 2], retain: retain ?? 'all' };
}

function qosField(): Field<number[]> {
  return {
    schema: {
      type: 'array',
      items: { type: 'integer', enum: [0, 1, 2] },
      minItems: 1,
      description: 'The rule concerns these; all by default.',
    },
    read: (value) => {
      // EMQX takes them as text, too.
      const list = Array.isArray(value) ? value.map((one) => (typeof one === 'string' ? Number(one) : one)) : [];
      if (list.length === 0 || !list.every((one) => one === 0 || one === 1 || one === 2)) {
        return reject(`must be a list of 0, 1 and 2, not ${show(value)}`);
      }
      return accept([...new Set(list as number[])].sort());
    },
  };
}

function retainField(): Field<boolean | 'all'> {
  return {
    schema: {
      description: 'Of publishes: with RETAIN, without, or all.',
      oneOf: [{ type: 'boolean' }, { type: 'string', enum: ['all'] }],
      default: 'all',
    },
    read: (value) => {
      if (value === 'all' || value === true || value === false) return accept(value);
      if (value === 'true' || value === 'false') return accept(value === 'true');
      return reject(`must be true, false or "all", not ${show(value)}`);
    },
  };
}
