// What an answer cost, as phrases.
import { count, decimals, joules, plural, rate, seconds } from '../format';
import type { Answer } from './conversation';

export function figures(answer: Answer): string[] {
  const parts: string[] = [];
  const { firstAt, lastAt, usage } = answer;
  if (firstAt !== null) parts.push(`first token after ${seconds((firstAt - answer.sentAt) / 1000)}`);
  const n = usage?.completion_tokens;
  const span_s = firstAt !== null && lastAt !== null ? (lastAt - firstAt) / 1000 : 0;
  if (n !== undefined && n > 1 && span_s > 0) parts.push(rate((n - 1) / span_s));
  if (usage && n !== undefined) parts.push(`${plural(n, 'token')} after a prompt of ${count(usage.prompt_tokens)}`);
  if (answer.finish === 'length') parts.push('cut at the token limit');
  if (answer.stopped) parts.push('stopped');
  if (!answer.text) parts.push(answer.reasoning ? 'it thought, but said nothing' : 'the answer is empty');
  if (answer.joules !== null) {
    const each = n ? `, ${decimals(answer.joules / n, 2)} a token` : '';
    parts.push(`${joules(answer.joules)} at the wall${each} (modelled)`);
  }
  return parts;
}
