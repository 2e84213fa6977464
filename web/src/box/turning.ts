// Motion whose speed follows a value without a jump: fans and air. Still for those who asked for less motion.
import { useEffect, useRef } from 'preact/hooks';

const stillWanted = () => matchMedia('(prefers-reduced-motion: reduce)').matches;

// Runs `frames` on every element of the group with the class `name`, once a second at ratio 1.
export function useMotion(name: string, frames: Keyframe[], ratio: number) {
  const group = useRef<SVGSVGElement>(null);
  const running = useRef<Animation[]>([]);
  useEffect(() => {
    if (stillWanted() || !group.current) return;
    running.current = [...group.current.querySelectorAll(`.${name}`)].map((element) =>
      element.animate(frames, { duration: 1000, iterations: Infinity }),
    );
    return () => running.current.forEach((animation) => animation.cancel());
  }, []);
  useEffect(() => {
    for (const animation of running.current) {
      if (ratio > 0.001) {
        animation.updatePlaybackRate(ratio);
        animation.play();
      } else {
        animation.pause();
      }
    }
  }, [ratio]);
  return group;
}
