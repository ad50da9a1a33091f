// What the two sides send: a drawn picture and a tone, which need no permission and no device.

const FRAME_MS = 66;
const STILL_FRAME_MS = 500; // for people who asked for reduced motion: the clock alone changes
const LOOK = {
  caller: { ground: "#123f35", shape: "#57c79f" },
  callee: { ground: "#2b2f5b", shape: "#f0b95c" },
};

/** A running clock and a circling dot, so that delay and stutter can be seen. */
export function testPicture(side) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 360 });
  const paint = canvas.getContext("2d");
  const draw = () => {
    const now = new Date();
    const angle = still ? 0 : (now.getTime() / 4_000) * 2 * Math.PI;
    paint.fillStyle = LOOK[side].ground;
    paint.fillRect(0, 0, 640, 360);
    paint.fillStyle = LOOK[side].shape;
    paint.beginPath();
    paint.arc(510 + 60 * Math.cos(angle), 115 + 60 * Math.sin(angle), 34, 0, 2 * Math.PI);
    paint.fill();
    paint.fillStyle = "#ffffff";
    paint.font = "64px system-ui, sans-serif";
    paint.fillText(`${now.toTimeString().slice(0, 8)}.${Math.floor(now.getMilliseconds() / 100)}`, 40, 255);
    paint.font = "28px system-ui, sans-serif";
    paint.fillText(`sent by the ${side}`, 42, 310);
  };
  draw();
  const timer = setInterval(draw, still ? STILL_FRAME_MS : FRAME_MS);
  const [track] = canvas.captureStream().getVideoTracks();
  const stop = () => {
    clearInterval(timer);
    track.stop();
  };
  return { track, stop };
}

/** A tone. Browsers keep it silent until the page is touched; the call does not need it. */
export function testTone() {
  const context = new AudioContext();
  const tone = new OscillatorNode(context, { frequency: 440 });
  const out = new MediaStreamAudioDestinationNode(context);
  tone.connect(new GainNode(context, { gain: 0.1 })).connect(out);
  tone.start();
  const touched = new AbortController();
  for (const touch of ["pointerdown", "keydown"]) {
    document.addEventListener(touch, () => context.resume(), { signal: touched.signal });
  }
  const [track] = out.stream.getAudioTracks();
  const stop = () => {
    touched.abort();
    context.close();
  };
  return { track, stop };
}

/** Camera and microphone; the camera alone where there is no microphone. */
export async function openCamera() {
  try {
    return await navigator.mediaDevices.getUserMedia({ video: true, audio: true });
  } catch (error) {
    if (error.name !== "NotFoundError") throw error;
    return navigator.mediaDevices.getUserMedia({ video: true });
  }
}
