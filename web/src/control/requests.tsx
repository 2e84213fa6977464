import { count, duration } from '../format';
import { live } from '../state';
import { useSlice } from '../store';
import { Scroll, Section } from '../ui';

export function Requests() {
  const requests = useSlice(live, ({ state }) => state?.requests ?? []);
  const traffic = useSlice(live, ({ state }) => state?.traffic ?? null);
  const note = traffic ? `${count(traffic.running)} running, ${count(traffic.waiting)} waiting` : '';
  return (
    <Section title="Requests in flight" class="wide" note={note}>
      {requests.length === 0 ? (
        <p class="quiet">Nothing is in flight.</p>
      ) : (
        <Scroll label="List of requests">
          <table>
            <thead>
              <tr>
                <th scope="col">Request</th>
                <th scope="col">Model</th>
                <th scope="col">Key</th>
                <th scope="col">State</th>
                <th scope="col" class="num">
                  Age
                </th>
                <th scope="col" class="num">
                  Prompt
                </th>
                <th scope="col" class="num">
                  Generated
                </th>
              </tr>
            </thead>
            <tbody>
              {requests.map((r) => (
                <tr key={r.id}>
                  <th scope="row">
                    <span class="mono">{r.id}</span>
                  </th>
                  <td>{r.model}</td>
                  <td>{r.key ?? '–'}</td>
                  <td>
                    <span class={`state ${r.state}`}>{r.state}</span>
                  </td>
                  <td class="num">{duration(r.age_s)}</td>
                  <td class="num">{count(r.prompt_tokens)}</td>
                  <td class="num">{count(r.generated_tokens)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </Section>
  );
}
