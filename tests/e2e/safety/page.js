// In every page of the safety tests, before its own scripts: leads the peer connection through the impairing relay,
// and keeps what the robot says and the channels, so that a test can see and send what the page would not.
(() => {
  const sop = { feedback: null, said: [], channels: {}, dropped: [], pictureMs: 0 };
  window.sop = sop;
  const CANDIDATE = /^(a=candidate:\S+ 1 udp \d+ )\S+ \d+ typ host.*$/i;

  const through = (sdp, [host, port]) => {
    let isFirst = true;
    const lines = [];
    for (const line of sdp.split("\r\n")) {
      if (line.startsWith("m=")) isFirst = true;
      const found = CANDIDATE.exec(line);
      if (!line.startsWith("a=candidate:")) lines.push(line);
      else if (found !== null && isFirst) {
        lines.push(`${found[1]}${host} ${port} typ host`);
        isFirst = false;
      }
    }
    return lines.join("\r\n");
  };

  const setRemote = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function (description) {
    const path = window.sopPath;
    const isLed = path !== null && description?.type === "answer";
    const led = isLed ? { type: "answer", sdp: through(description.sdp, path.browser) } : description;
    return setRemote.call(this, led);
  };

  // When this browser last showed a fresh picture, by the clock that it shares with the test (Unix time, ms).
  const noteDrive = (drive) => {
    sop.drive = drive;
    sop.pictureMs = Math.max(sop.pictureMs, performance.timeOrigin + drive.sent_ms - drive.video_age_ms);
  };

  const createChannel = RTCPeerConnection.prototype.createDataChannel;
  RTCPeerConnection.prototype.createDataChannel = function (label, options) {
    const channel = createChannel.call(this, label, options);
    sop.channels[label] = channel;
    channel.addEventListener("message", (event) => {
      const message = JSON.parse(event.data);
      if (message.type === "feedback") sop.feedback = message;
    });
    const send = channel.send;
    channel.send = function (data) {
      const type = JSON.parse(data).type;
      if (sop.dropped.includes(`peer ${type}`)) return undefined;
      if (type === "drive") noteDrive(JSON.parse(data));
      return send.call(this, data);
    };
    return channel;
  };

  const sendFrame = WebSocket.prototype.send;
  WebSocket.prototype.send = function (data) {
    if (typeof data !== "string" || !data.startsWith("[")) return sendFrame.call(this, data);
    const frame = JSON.parse(data);
    const type = frame[1]?.type;
    if (sop.dropped.includes(`console ${type}`)) {
      // Swallowed whole, as by a network that loses it: the numbering of what follows has no gap.
      this.sopSwallowed = (this.sopSwallowed ?? 0) + 1;
      return undefined;
    }
    frame[0] -= this.sopSwallowed ?? 0;
    if (type === "peer_offer" && window.sopPath !== null) frame[1].sdp = through(frame[1].sdp, window.sopPath.robot);
    return sendFrame.call(this, JSON.stringify(frame));
  };
})();
