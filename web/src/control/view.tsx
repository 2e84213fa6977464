// Requests in flight, faults to inject, keys.
import { Faults } from './faults';
import { Keys } from './keys';
import { Requests } from './requests';

export const ControlView = () => (
  <div class="view control-view">
    <Requests />
    <Faults />
    <Keys />
  </div>
);
