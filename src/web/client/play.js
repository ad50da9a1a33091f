// Sound and picture of the other side in an element of the page, by the rules that browsers have for it.

/**
 * @param {import("./call.js").Call} call
 * @param {HTMLMediaElement} element
 * @param {(play: () => Promise<void>) => void} onBlocked the browser wants a tap: run `play` in it
 */
export function playIn(call, element, onBlocked) {
  const play = async () => {
    const stream = call.remoteStream;
    if (!stream || element.srcObject === stream) return;
    element.srcObject = stream;
    element.autoplay = true;
    if ("playsInline" in element) element.playsInline = true;
    await element.play().catch((error) => {
      // AbortError: another source has come.
      if (error?.name === "NotAllowedError") onBlocked(() => element.play());
    });
  };
  play();
  const off = call.on("remote", play);
  call.on("ended", () => {
    off();
    element.srcObject = null;
  });
}
