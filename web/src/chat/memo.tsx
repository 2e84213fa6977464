// Draws a component again only if its properties differ.
import { Component, type FunctionComponent, type JSX } from 'preact';

export function memo<P extends object>(draw: FunctionComponent<P>, same: (a: P, b: P) => boolean) {
  return class Memo extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      return !same(this.props as P, next);
    }
    override render(): JSX.Element {
      const Draw = draw;
      return <Draw {...(this.props as P)} />;
    }
  };
}
