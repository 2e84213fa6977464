// The box as a drawing in millimetres: from above without its lid, 150 x 150, air from the front (below) to the rear.
import { celsius, percent, watts } from '../format';
import { heatColour, inkOn } from './heat';
import type { Part, Reading } from './reading';
import { useMotion } from './turning';

interface PlateProps {
  part: Part;
  x: number;
  y: number;
  w: number;
  h: number;
  rx?: number;
  quiet?: boolean; // the part is too small for words
}

// A part: its colour says how hot it is, its words say it exactly.
function Plate({ part, x, y, w, h, rx = 1.5, quiet = false }: PlateProps) {
  const ink = inkOn(part.c);
  const middle = x + w / 2;
  const lines = [part.label, part.c === null ? '' : celsius(part.c), part.w === null ? '' : watts(part.w)].filter(
    Boolean,
  );
  const top = y + h / 2 - (lines.length - 1) * 3.1;
  return (
    <g class="part">
      <rect x={x} y={y} width={w} height={h} rx={rx} fill={heatColour(part.c)} />
      {!quiet &&
        lines.map((line, i) => (
          <text x={middle} y={top + i * 6.2} fill={ink} class={i === 0 ? 'name' : 'figure'}>
            {line}
          </text>
        ))}
    </g>
  );
}

const blade = 'M0 -5C4 -9 5 -14 2 -18.500C-2.500 -16 -4 -10 0 -5Z';

function Fan({ x, y }: { x: number; y: number }) {
  return (
    <g transform={`translate(${x} ${y})`} class="fan">
      <circle r="21.5" class="shroud" />
      <g class="rotor">
        <circle r="19.5" class="sweep" />
        {[0, 1, 2, 3, 4, 5, 6, 7, 8].map((i) => (
          <path d={blade} transform={`rotate(${i * 40})`} class="blade" />
        ))}
      </g>
      <circle r="5.2" class="hub" />
    </g>
  );
}

// Paths of the air, front to rear.
const streams = [
  'M22 164V148C22 140 43 140 43 118C43 96 34 92 34 70V-14',
  'M43 164V118C43 98 57 92 57 60V-14',
  'M75 164V126',
  'M75 106V-14',
  'M107 164V118C107 98 93 92 93 60V-14',
  'M128 164V148C128 140 107 140 107 118C107 100 112 92 112 70V-14',
];

function Air({ reading }: { reading: Reading }) {
  return (
    <g class="air" aria-hidden="true">
      {streams.map((d) => (
        <path d={d} class="stream" />
      ))}
      {[22, 43, 75, 107, 128].map((x) => (
        <path d={`M${x - 3} 158l3 -5l3 5`} class="arrow" stroke={heatColour(reading.inlet.c)} />
      ))}
      {[34, 57, 75, 93, 112].map((x) => (
        <path d={`M${x - 3} -9l3 -5l3 5`} class="arrow" stroke={heatColour(reading.exhaust.c)} />
      ))}
    </g>
  );
}

function Memory({ part }: { part: Part }) {
  const rows = [0, 1, 2, 3];
  return (
    <g>
      {rows.map((i) => (
        <Plate part={part} x={34} y={54.5 + i * 9.2} w={12} h={8} rx={0.8} quiet />
      ))}
      {rows.map((i) => (
        <Plate part={part} x={104} y={54.5 + i * 9.2} w={12} h={8} rx={0.8} quiet />
      ))}
    </g>
  );
}

function Fins({ part }: { part: Part }) {
  const lines = Array.from({ length: 34 }, (_, i) => 33 + i * 2.55);
  return (
    <g>
      <Plate part={{ ...part, w: null }} x={31} y={17} w={88} h={27} quiet />
      <g class="fin-lines">
        {lines.map((x) => (
          <path d={`M${x} 18.500V42.500`} />
        ))}
      </g>
      <rect x={55} y={25.5} width={40} height={10} rx={5} fill={heatColour(part.c)} />
      <text x={75} y={30.6} class="figure" fill={inkOn(part.c)}>
        {part.c === null ? 'fins' : `fins ${celsius(part.c)}`}
      </text>
    </g>
  );
}

const dimension = (
  <g class="dimension" aria-hidden="true">
    <path d="M0 181H150M0 178v6M150 178v6" />
    <text x={75} y={182.8}>
      150 mm
    </text>
  </g>
);

interface PlanProps {
  reading: Reading;
  fan: number | null;
  says: string;
}

export function Plan({ reading, fan, says }: PlanProps) {
  const rotors = useMotion(
    'rotor',
    [{ transform: 'rotate(0deg)' }, { transform: 'rotate(360deg)' }],
    (fan ?? 0) * 1.4,
  );
  const air = useMotion('stream', [{ strokeDashoffset: '14' }, { strokeDashoffset: '0' }], (fan ?? 0) * 2.2);
  return (
    <svg
      class="plan"
      viewBox="-3 -24 156 212"
      role="img"
      aria-label={says}
      ref={(svg) => {
        rotors.current = svg;
        air.current = svg;
      }}
    >
      <rect x="0" y="0" width="150" height="150" rx="9" class="shell" />
      <rect x="4" y="4" width="142" height="142" rx="6" class="tray" />
      <rect x="6" y="5" width="138" height="9" rx="2" class="foam" />
      <rect x="6" y="142" width="138" height="5" rx="2" class="foam" />
      <rect x="8" y="48" width="134" height="46" rx="2" fill={heatColour(reading.board.c)} class="board" />
      <Air reading={reading} />
      <Fins part={reading.fins} />
      <Memory part={reading.memory} />
      <rect x="49" y="51" width="52" height="40" rx="2" fill={heatColour(reading.spreader.c)} class="package" />
      <Plate part={reading.gpu} x={51.5} y={54} w={26} h={34} />
      <Plate part={reading.cpu} x={79.5} y={54} w={19} h={34} />
      <Plate part={reading.drive} x={119} y={50} w={21} h={42} />
      <Plate part={{ ...reading.board, label: 'power' }} x={10} y={50} w={21} h={42} />
      <Plate part={{ ...reading.network, label: 'NIC' }} x={121} y={17} w={21} h={27} />
      <Fan x={43} y={118} />
      <Fan x={107} y={118} />
      <text x={75} y={113} class="label">
        fans
      </text>
      <text x={75} y={120} class="label strong">
        {percent(fan)}
      </text>
      <text x={150} y={-18} class="label end">
        {reading.exhaust.c === null ? 'exhaust' : `exhaust ${celsius(reading.exhaust.c)}`}
      </text>
      <text x={150} y={171} class="label end">
        {reading.inlet.c === null ? 'inlet' : `inlet ${celsius(reading.inlet.c)}`}
      </text>
      <text x={0} y={-18} class="label start">
        rear
      </text>
      <text x={0} y={171} class="label start">
        front
      </text>
      {dimension}
    </svg>
  );
}
