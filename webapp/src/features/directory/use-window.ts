import { useEffect, useState, useSyncExternalStore, type RefObject } from "react";

/** Lines beyond what is seen, so that a little scrolling shows no gap. */
const OVERSCAN = 12;
/** As long as the height is not known. */
const FIRST_HEIGHT_PX = 800;
const COARSE = "(pointer: coarse)";

function onPointerChange(listener: () => void): () => void {
  const query = window.matchMedia(COARSE);
  query.addEventListener("change", listener);
  return () => query.removeEventListener("change", listener);
}

/** How high a line is: higher where it is touched by a finger. */
export function useRowHeight(): number {
  return useSyncExternalStore(
    onPointerChange,
    () => (window.matchMedia(COARSE).matches ? 40 : 32),
    () => 32,
  );
}

export interface Window {
  /** The first line to draw. */
  from: number;
  /** The line after the last to draw. */
  to: number;
}

/** Which of many lines of the same height are seen in what scrolls. */
export function useWindow(scroller: RefObject<HTMLElement | null>, count: number, rowHeight: number): Window {
  const [seen, setSeen] = useState({ top: 0, height: FIRST_HEIGHT_PX });
  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const look = () => {
      const height = element.clientHeight || FIRST_HEIGHT_PX;
      // Only a move by a whole line draws anew.
      const top = Math.floor(element.scrollTop / rowHeight) * rowHeight;
      setSeen((before) => (before.top === top && before.height === height ? before : { top, height }));
    };
    look();
    element.addEventListener("scroll", look, { passive: true });
    const observer = new ResizeObserver(look);
    observer.observe(element);
    return () => {
      element.removeEventListener("scroll", look);
      observer.disconnect();
    };
  }, [scroller, rowHeight]);
  const first = Math.floor(seen.top / rowHeight);
  const from = Math.max(0, Math.min(first, count) - OVERSCAN);
  return { from, to: Math.min(count, first + Math.ceil(seen.height / rowHeight) + OVERSCAN) };
}
