// What fit says: a verdict in a sentence, the peak against the limits, the flags that are safe.
import { count, gibibytes, spoken } from '../format';
import { Copy } from '../ui';
import type { FitDocument, FitPhase } from './documents';

export { useAnswer } from './answer';
export type { FitDocument } from './documents';

const verdicts: Record<string, string> = {
  fits: 'It fits.',
  freezes: 'It would freeze the box.',
  too_large: 'It is too large.',
};

export function verdictOf(fit: FitDocument): { good: boolean; text: string } {
  const good = fit.verdict === 'fits';
  const room = fit.safe_bytes - fit.peak_bytes;
  const side = room >= 0 ? 'below' : 'above';
  const peak = `${gibibytes(fit.peak_bytes)} at the peak, ${gibibytes(Math.abs(room))} ${side} what is safe`;
  return { good, text: `${verdicts[fit.verdict] ?? `It ${spoken(fit.verdict)}.`} ${peak}.` };
}

const owned: [keyof FitPhase, string][] = [
  ['weights_bytes', 'weights'],
  ['kv_bytes', 'kv'],
  ['activations_bytes', 'runtime'],
  ['graphs_bytes', 'runtime'],
  ['runtime_bytes', 'runtime'],
  ['host_bytes', 'runtime'],
];

function Peak({ fit }: { fit: FitDocument }) {
  const phase = fit.phases.find((p) => p.phase === fit.peak_phase) ?? fit.phases.at(-1);
  if (!phase) return null;
  const whole = Math.max(fit.visible_bytes, phase.total_bytes);
  const share = (v: number) => `${(100 * v) / whole}%`;
  return (
    <div class="stack" aria-hidden="true">
      {owned.map(([key, tone]) => (
        <span class={`fill ${tone}`} style={{ width: share(Number(phase[key])) }} />
      ))}
      <span class="safe" style={{ left: share(fit.safe_bytes) }} />
    </div>
  );
}

export function FitVerdict({ fit }: { fit: FitDocument }) {
  const { good, text } = verdictOf(fit);
  return (
    <div class="fit">
      <p class={`verdict ${good ? 'good' : 'bad'}`}>{text}</p>
      <Peak fit={fit} />
      <p class="quiet">
        {fit.model} in {fit.weights} by {fit.stack}: context up to {count(fit.context_max_tokens)} tokens, up to{' '}
        {count(fit.concurrency_max)} streams; safe below {gibibytes(fit.safe_bytes)}, frozen at{' '}
        {gibibytes(fit.freeze_bytes)}.
      </p>
    </div>
  );
}

export function FitResult({ fit }: { fit: FitDocument }) {
  return (
    <>
      <FitVerdict fit={fit} />
      <div class="scroll" role="region" aria-label="Memory by phase" tabIndex={0}>
        <table>
          <caption class="unseen">Memory in use by phase</caption>
          <thead>
            <tr>
              <th scope="col">Phase</th>
              <th scope="col" class="num">
                Weights
              </th>
              <th scope="col" class="num">
                KV
              </th>
              <th scope="col" class="num">
                Runtime
              </th>
              <th scope="col" class="num">
                Page cache
              </th>
              <th scope="col" class="num">
                In use
              </th>
            </tr>
          </thead>
          <tbody>
            {fit.phases.map((p) => (
              <tr class={p.phase === fit.peak_phase ? 'peak' : ''}>
                <th scope="row">
                  {spoken(p.phase)}
                  {p.phase === fit.peak_phase ? ' (peak)' : ''}
                </th>
                <td class="num">{gibibytes(p.weights_bytes)}</td>
                <td class="num">{gibibytes(p.kv_bytes)}</td>
                <td class="num">
                  {gibibytes(p.activations_bytes + p.graphs_bytes + p.runtime_bytes + p.host_bytes)}
                </td>
                <td class="num">{gibibytes(p.page_cache_bytes)}</td>
                <td class="num">{gibibytes(p.total_bytes)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {fit.flags && (
        <p class="command">
          <span class="quiet">Safe flags</span> <code>{fit.flags}</code>{' '}
          <Copy text={fit.flags} label="Copy the flags" />
        </p>
      )}
    </>
  );
}
