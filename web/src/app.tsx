// The frame of the page: brand, views, readouts, what is modelled; and the view that the address names.
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { BoxView } from './box/view';
import { ChartsView } from './charts/view';
import { ChatView } from './chat/view';
import { ControlView } from './control/view';
import { KeyPrompt } from './key_prompt';
import { ModelsView } from './models';
import { provenance } from './provenance';
import { Readouts } from './readouts';
import { useView, views, type View } from './route';
import { live } from './state';
import { useSlice } from './store';
import { ThemeSwitch } from './theme';
import { Icon } from './ui';
import { WhatIfView } from './whatif/view';

const names: Record<View, string> = {
  chat: 'Chat',
  box: 'Box',
  charts: 'Charts',
  models: 'Models',
  'what-if': 'What if',
  control: 'Control',
};
const shown: Record<View, () => JSX.Element | null> = {
  chat: ChatView,
  box: BoxView,
  charts: ChartsView,
  models: ModelsView,
  'what-if': WhatIfView,
  control: ControlView,
};
// What only a box with /box/* can show.
const needsBox: View[] = ['box', 'what-if', 'control'];

function Provenance() {
  const told = useSlice(live, ({ state }) => (state ? provenance(state.box) : { modelled: null, measured: null }));
  const down = useSlice(live, ({ state }) => state?.box.down ?? false);
  const silent = useSlice(live, ({ link }) => link === 'silent');
  return (
    <div class="provenance" id="provenance">
      {silent && (
        <p class="problem" role="status">
          The server does not answer. Trying again.
        </p>
      )}
      {down && (
        <p class="problem" role="status">
          The box is down: nothing is answered until it is up again.
        </p>
      )}
      {told.modelled && (
        <p>
          <span class="mark modelled" aria-hidden="true" />
          {told.modelled}
        </p>
      )}
      {told.measured && (
        <p>
          <span class="mark measured" aria-hidden="true" />
          {told.measured}
        </p>
      )}
    </div>
  );
}

function Nav({ view, open }: { view: View; open: View[] }) {
  return (
    <nav aria-label="Views">
      <ul>
        {open.map((name) => (
          <li>
            <a href={`#/${name}`} aria-current={view === name ? 'page' : undefined}>
              <Icon name={name} /> <span>{names[name]}</span>
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

export function App() {
  const view = useView();
  const full = useSlice(live, (l) => l.full);
  const keyWanted = useSlice(live, (l) => l.keyWanted);
  const main = useRef<HTMLElement>(null);
  const open = views.filter((name) => full !== false || !needsBox.includes(name));
  const current = open.includes(view) ? view : 'chat';
  const Shown = shown[current];
  useEffect(() => {
    document.title = current === 'chat' ? 'Tinderbox' : `${names[current]} · Tinderbox`;
    main.current?.scrollTo(0, 0);
  }, [current]);
  const skip = (event: Event) => {
    event.preventDefault();
    (document.getElementById('prompt') ?? main.current)?.focus();
  };
  return (
    <div class={`frame at-${current}`}>
      <a class="skip" href="#view" onClick={skip}>
        {current === 'chat' ? 'Skip to the message field' : 'Skip to the content'}
      </a>
      <header class="side">
        <div class="brand">
          <img src="/icon.svg" alt="" width="34" height="34" />
          <div>
            <h1>Tinderbox</h1>
            <p>the DGX Spark in software</p>
          </div>
        </div>
        <Nav view={current} open={open} />
        <div class="foot">
          <Provenance />
          <p class="links">
            <a href="/validation.html">How true</a> · <a href="/metrics">Metrics</a>
          </p>
          <ThemeSwitch />
        </div>
      </header>
      <div class="body">
        <Readouts />
        <main ref={main} id="view" tabIndex={current === 'chat' ? -1 : 0} aria-label={names[current]}>
          <Shown />
        </main>
      </div>
      {keyWanted && <KeyPrompt why={keyWanted} />}
    </div>
  );
}
