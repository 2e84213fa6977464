// The box from the rear, with its ports, and from the front: 150 x 50.5 mm of metal foam.
import { celsius, watts } from '../format';
import type { Sensors } from '../types';
import { heatColour } from './heat';
import type { Reading } from './reading';

interface PortProps {
  x: number;
  w: number;
  h: number;
  c: number | null;
  rx: number;
  name?: string;
  mid: number;
}

function Port({ x, w, h, c, rx, name, mid }: PortProps) {
  return (
    <g>
      <rect x={x} y={36 - h / 2} width={w} height={h} rx={rx} fill={heatColour(c)} class="port" />
      {name && (
        <text x={mid} y={46.6} class="label tiny">
          {name}
        </text>
      )}
    </g>
  );
}

interface ViewProps {
  reading: Reading;
  sensors: Sensors | null;
}

export function Rear({ reading, sensors }: ViewProps) {
  const { board, network, exhaust } = reading;
  const power = sensors ? `power ${watts(sensors.wall_w)}` : 'power';
  return (
    <svg class="elevation" viewBox="-1 -9 163 62" aria-hidden="true">
      <text x={0} y={-3.5} class="label start">
        rear
      </text>
      <text x={150} y={-3.5} class="label end">
        {exhaust.c === null ? '' : `air out ${celsius(exhaust.c)}`}
      </text>
      <rect x="0" y="0" width="150" height="50.5" rx="5" class="shell" />
      <rect x="4" y="4" width="142" height="24" rx="3" fill={heatColour(exhaust.c)} class="outlet" />
      <rect x="4" y="4" width="142" height="24" rx="3" class="foam over" />
      <circle cx="9" cy="36" r="2.6" class="port" fill="none" />
      <Port x={16} w={9} h={3.2} rx={1.6} c={board.c} name={power} mid={24} />
      {[30, 42, 54].map((x) => (
        <Port x={x} w={9} h={3.2} rx={1.6} c={board.c} mid={x} />
      ))}
      <text x={50.5} y={46.6} class="label tiny">
        USB-C
      </text>
      <Port x={67} w={14} h={5} rx={1} c={board.c} name="HDMI" mid={74} />
      <Port x={86} w={14} h={11} rx={1} c={board.c} name="RJ45" mid={93} />
      <Port x={105} w={19} h={9} rx={1} c={network.c} mid={114} />
      <Port x={126} w={19} h={9} rx={1} c={network.c} mid={135} />
      <text x={125} y={46.6} class="label tiny">
        two QSFP {network.c === null ? '' : celsius(network.c)}
      </text>
    </svg>
  );
}

export function Front({ reading }: { reading: Reading }) {
  const { inlet } = reading;
  return (
    <svg class="elevation" viewBox="-1 -9 163 62" aria-hidden="true">
      <text x={0} y={-3.5} class="label start">
        front
      </text>
      <text x={150} y={-3.5} class="label end">
        {inlet.c === null ? '' : `air in ${celsius(inlet.c)}`}
      </text>
      <rect x="0" y="0" width="150" height="50.500" rx="5" class="foam front" />
      <rect x="0" y="0" width="150" height="50.500" rx="5" class="rim" />
      <rect x="6" y="14" width="8" height="22" rx="4" class="grip" />
      <rect x="136" y="14" width="8" height="22" rx="4" class="grip" />
      <g class="dimension">
        <path d="M156 0V50.5M153.5 0h5M153.5 50.5h5" />
        <text x={156} y={27} transform="rotate(-90 156 25.25)">
          50.5 mm
        </text>
      </g>
    </svg>
  );
}

// One pattern for all drawings of the page.
export const FoamPattern = () => (
  <svg width="0" height="0" aria-hidden="true" class="unseen">
    <defs>
      <pattern id="foam" width="5" height="4.4" patternUnits="userSpaceOnUse">
        <rect width="5" height="4.4" class="foam-metal" />
        <ellipse cx="1.2" cy="1.1" rx="0.95" ry="0.8" class="foam-hole" />
        <ellipse cx="3.7" cy="0.9" rx="0.8" ry="0.6" class="foam-hole" />
        <ellipse cx="2.6" cy="2.6" rx="0.9" ry="0.7" class="foam-hole" />
        <ellipse cx="0.3" cy="3.1" rx="0.7" ry="0.6" class="foam-hole" />
        <ellipse cx="4.4" cy="3.3" rx="0.8" ry="0.75" class="foam-hole" />
      </pattern>
    </defs>
  </svg>
);
