// Every text that people read, in one place. `setTexts` replaces any of them, for another language.

/** @type {Record<string, string>} */
const TEXTS = {
  // Signing in
  title: "Phone",
  tagline: "Calls from browser to browser, through your own server.",
  your_name: "Your name",
  name_hint: "Others see it when you call. No account is needed.",
  start: "Start",
  have_token: "I have a token",
  token_label: "Token",
  token_hint: "From your administrator, or by: turnbell token --user alice",
  use_token: "Sign in",
  no_guests: "This server lets nobody in without a token.",
  no_guests_cure: "Open an invite link, or sign in with a token.",
  invited: "You are invited to a call",
  invited_hint: "Type a name, test the microphone if you like, and join.",
  join: "Join the call",
  sign_out: "Sign out",
  signed_in_as: "Signed in as {name}",
  insecure_title: "The microphone needs a secure page",
  // Connection
  connecting: "Connecting …",
  online: "Online",
  waiting: "Connection lost. Trying again …",
  closed: "Signed off",
  reload: "Load again",
  status_label: "My status",
  status_online: "Available",
  status_dnd: "Do not disturb",
  // People
  people: "People",
  dial_label: "Call somebody",
  dial_placeholder: "Name or user id",
  dial_hint: "Type a name of the list, or any user id.",
  call: "Call",
  call_audio: "Call {name}",
  call_video: "Video call {name}",
  video_call: "Video call",
  nobody: "Nobody else is here yet.",
  nobody_there: "Nobody is there right now.",
  nobody_hint: "Send somebody an invite link, or open this page in another browser.",
  no_match: "Nobody here has this name. It is called as a user id.",
  presence_online: "available",
  presence_away: "away",
  presence_busy: "in a call",
  presence_dnd: "do not disturb",
  voice_off: "Calls are switched off on this server.",
  // Invites
  invite: "Invite somebody",
  invite_hint: "Whoever opens the link types a name and calls you. Two people can come in by it, for a day.",
  invite_may_not: "Links are made by members of this server. Ask one of them, or who runs it.",
  invite_make: "Make a link",
  invite_link: "Invite link",
  copy: "Copy",
  copied: "Copied",
  share: "Share …",
  // History
  history: "Recent calls",
  history_empty: "No calls yet.",
  history_hint: "Calls you make, take or miss stand here.",
  history_failed: "The list could not be loaded.",
  history_more: "Show more",
  history_again: "Call {name} again",
  inbound: "incoming",
  outbound: "outgoing",
  status_COMPLETED: "{length}",
  status_MISSED: "missed",
  status_MISSED_out: "no answer",
  status_REJECTED: "declined",
  status_BUSY: "busy",
  status_FAILED: "failed",
  status_ANSWERED: "going on",
  status_RINGING: "ringing",
  status_INITIATED: "ringing",
  // Incoming
  incoming_audio: "{name} is calling",
  incoming_video: "{name} is calling, with video",
  incoming_waiting: "You are in another call: accepting ends it.",
  unverified: "The name is not verified.",
  accept: "Accept",
  accept_video: "Accept with video",
  accept_listen: "Accept without microphone",
  call_listen: "Call without microphone",
  call_no_camera: "Call without camera",
  rejoin_listen: "Continue without microphone",
  decline: "Decline",
  silence: "Silence on this device",
  incoming_keys: "Escape silences this device only.",
  block: "Block {name}",
  blocked_now: "{name} is blocked: his calls ring nowhere, and he is not told.",
  blocked: "Blocked people",
  unblock: "Unblock {name}",
  undo: "Undo",
  sound_off: "Sound is off: tap to hear calls ring",
  notify: "Notify me when this page is hidden",
  // A call
  calling: "Calling …",
  ringing: "Ringing …",
  connecting_call: "Connecting …",
  reconnecting: "Connection lost, coming back …",
  on_hold: "On hold",
  held_by: "{name} put you on hold",
  ended: "Call ended",
  ended_after: "Call ended after {length}",
  mute: "Mute",
  unmute: "Unmute",
  microphone_on: "Microphone on",
  camera_on: "Camera on",
  camera_off: "Camera off",
  share_screen: "Share screen",
  stop_sharing: "Stop sharing",
  hold: "Hold",
  resume: "Resume",
  devices: "Devices",
  hang_up: "Hang up",
  cancel: "Cancel",
  in_call: "Call with {name}",
  muted_other: "{name} is muted",
  shares_other: "{name} shares the screen",
  signaling_lost: "{name} has lost the server; the call goes on",
  words_label: "Four words",
  words_hint: "Read them to each other: if they are the same, nobody listens in.",
  tap_to_hear: "Tap to hear {name}",
  quality_good: "Good connection",
  quality_fair: "Fair connection",
  quality_poor: "Poor connection",
  quality_detail: "{rtt} ms, {loss} % lost, {path}",
  path_relay: "through the relay",
  path_direct: "direct",
  one_way: "No sound arrives from one side. Check the microphone.",
  microphone: "Microphone",
  camera: "Camera",
  speaker: "Speaker",
  default_device: "Default",
  my_level: "Microphone level",
  nth_device: "{kind} {number}",
  unplugged_microphone: "The microphone was unplugged.",
  unplugged_camera: "The camera was unplugged.",
  replaced_device: "Another one is in use.",
  no_device: "The call goes on without.",
  rejoin: "You are in a call with {name}.",
  rejoin_here: "Continue here",
  rejoin_leave: "Hang up",
  // How calls end
  end_hangup: "Call ended",
  end_cancelled: "Call cancelled",
  end_no_answer: "{name} did not answer",
  end_timeout: "Missed call from {name}",
  end_caller_cancelled: "Missed call from {name}",
  end_declined: "{name} declined",
  end_dnd: "{name} does not want to be disturbed",
  end_busy: "{name} is in another call",
  end_callee_offline: "{name} is not online",
  end_callee_busy: "{name} is in another call",
  end_callee_dnd: "{name} does not want to be disturbed",
  end_answered_elsewhere: "Answered on {by}",
  end_already_answered: "Answered on another device",
  end_rejected_elsewhere: "Declined on {by}",
  end_rejoined_elsewhere: "The call goes on on {by}",
  end_lost: "The connection was lost",
  end_limit: "The call reached its longest time",
  end_ice_failed: "No way for sound and picture was found",
  end_ice_timeout: "No sound or picture arrived in time",
  end_media_failed: "The microphone could not be used",
  end_server_restart: "The server restarted, and the call did not come back",
  end_revoked: "The call was ended by the operator",
  end_admin: "The call was ended by the operator",
  another_device: "another device",
  // Microphone test
  mic_test: "Test the microphone",
  mic_hint: "See whether you are heard, and choose what calls use.",
  mic_start: "Start the test",
  mic_stop: "Stop",
  mic_say: "Say something.",
  mic_good: "We hear you.",
  mic_silent: "Nothing is heard. Is it muted, or another one in use?",
  close: "Close",
};

/**
 * The text of a key; what stands in {braces} is filled in.
 * @param {string} key
 * @param {Record<string, string | number>} [words]
 */
export function text(key, words = {}) {
  return (TEXTS[key] ?? key).replace(/\{(\w+)\}/g, (_, word) => String(words[word] ?? ""));
}

/** @param {string} key */
export const hasText = (key) => key in TEXTS;

/** @param {Record<string, string>} texts */
export function setTexts(texts) {
  Object.assign(TEXTS, texts);
}

/** 75 s is "01:15", from an hour on "1:02:03". @param {number} ms */
export function clock(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return `${hours ? `${hours}:` : ""}${two(minutes)}:${two(seconds % 60)}`;
}

/**
 * How a call came to its end, for people.
 * @param {string} reason @param {string} name @param {string | null} by @param {number} talkMs
 */
export function endText(reason, name, by, talkMs) {
  if (reason === "hangup" && talkMs > 0) return text("ended_after", { length: clock(talkMs) });
  const key = `end_${reason}`;
  return text(hasText(key) ? key : "ended", { name, by: by || text("another_device") });
}
