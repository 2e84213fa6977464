import 'uplot/dist/uPlot.min.css';
import './styles/base.css';
import './styles/shell.css';
import './styles/parts.css';
import './styles/chat.css';
import './styles/box.css';
import './styles/views.css';
import { render } from 'preact';
import { App } from './app';
import { follow } from './live';

const place = document.getElementById('page');
if (place) {
  place.replaceChildren();
  render(<App />, place);
}
void follow();
