import { useCallback, useEffect, useRef, useState, type RefObject } from "react";

/** This near to the end counts as at the end. */
const NEAR_PX = 48;

interface Stick {
  containerRef: RefObject<HTMLDivElement | null>;
  contentRef: RefObject<HTMLDivElement | null>;
  atBottom: boolean;
  toBottom: (behavior?: ScrollBehavior) => void;
}

/** Keeps the end in view while content grows, until the person scrolls up; at the end again, it sticks again. */
export function useStickToBottom(): Stick {
  const containerRef = useRef<HTMLDivElement>(null);
  const contentRef = useRef<HTMLDivElement>(null);
  const stuck = useRef(true);
  const [atBottom, setAtBottom] = useState(true);

  const toBottom = useCallback((behavior: ScrollBehavior = "instant") => {
    stuck.current = true;
    setAtBottom(true);
    const element = containerRef.current;
    element?.scrollTo({ top: element.scrollHeight, behavior });
  }, []);

  useEffect(() => {
    const element = containerRef.current;
    const inner = contentRef.current;
    if (!element || !inner) return;
    let lastTop = element.scrollTop;
    let lastHeight = element.scrollHeight;

    const follow = () => {
      if (stuck.current) element.scrollTop = element.scrollHeight;
      // Where growing and shrinking leave the position is not a move of the person's.
      lastTop = element.scrollTop;
      lastHeight = element.scrollHeight;
    };
    const onScroll = () => {
      const distance = element.scrollHeight - element.scrollTop - element.clientHeight;
      // Only a move up while nothing shrank is the person's: a shorter content moves the position up by itself.
      const movedUp = element.scrollTop < lastTop - 1 && element.scrollHeight >= lastHeight;
      if (distance <= NEAR_PX) stuck.current = true;
      else if (movedUp) stuck.current = false;
      lastTop = element.scrollTop;
      lastHeight = element.scrollHeight;
      setAtBottom(stuck.current || distance <= NEAR_PX);
    };
    const observer = new ResizeObserver(follow);
    observer.observe(inner);
    observer.observe(element);
    element.addEventListener("scroll", onScroll, { passive: true });
    follow();
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", onScroll);
    };
  }, []);

  return { containerRef, contentRef, atBottom, toBottom };
}
