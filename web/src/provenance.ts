// What is measured on this computer and what is modelled for which machine, in plain words.
import { spoken } from './format';
import type { BoxIdentity } from './types';

export function listed(words: string[]): string {
  const said = words.map(spoken);
  if (said.length < 2) return said.join('');
  return `${said.slice(0, -1).join(', ')} and ${said.at(-1)}`;
}

export interface Provenance {
  modelled: string | null;
  measured: string | null;
}

export function provenance(box: BoxIdentity): Provenance {
  const machine = box.machine_name ?? box.as ?? 'another machine';
  const machines = box.nodes > 1 ? `${box.nodes} × ${machine}` : machine;
  return {
    modelled: box.modelled.length ? `Modelled for ${machines}: ${listed(box.modelled)}.` : null,
    measured: box.measured.length ? `Measured on this computer: ${listed(box.measured)}.` : null,
  };
}
