// The stream of messages: a WebSocket that connects again by itself, and the decoding of what it brings.

const FIRST_DELAY_MS = 500;
const LAST_DELAY_MS = 8000;
const TYPES = { "<f8": Float64Array, "<u4": Uint32Array };

/** Inflate and decode a message: { numbers, verdicts, remarks, arrays: Map of name to typed array, buffer }. */
export async function decode(buffer) {
  const inflated = new Blob([buffer]).stream().pipeThrough(new DecompressionStream("deflate"));
  const plain = await new Response(inflated).arrayBuffer();
  const length = new DataView(plain).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(plain, 4, length)));
  const arrays = new Map();
  for (const [name, [type, offset, size]] of Object.entries(header.arrays)) {
    arrays.set(name, new TYPES[type](plain, 4 + length + offset, size));
  }
  return { numbers: header.numbers, verdicts: header.verdicts, remarks: header.remarks, arrays, buffer };
}

/** Whether the server answers, and refuses whoever has no token that is valid now. */
async function unauthorized() {
  try {
    return (await fetch("api/access", { cache: "no-store" })).status === 401;
  } catch {
    return false; // it does not answer
  }
}

/** Follow the stream for good. Calls opened(greeting), message(decoded), which must not take long, and closed(), then
 * closed(whether 401 is why). */
export function follow({ opened, message, closed }) {
  let delay = FIRST_DELAY_MS;
  const connect = () => {
    const address = new URL("ws", document.baseURI);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    // decoding waits for its turn, so that messages stay in order; of those that queue up only the newest counts
    let waiting = null;
    let busy = false;
    const work = async () => {
      busy = true;
      while (waiting) {
        const buffer = waiting;
        waiting = null;
        try {
          message(await decode(buffer));
        } catch (error) {
          console.error(error);
        }
      }
      busy = false;
    };
    socket.onmessage = ({ data }) => {
      delay = FIRST_DELAY_MS;
      if (typeof data === "string") {
        opened(JSON.parse(data));
        return;
      }
      waiting = data;
      if (!busy) work();
    };
    socket.onclose = async () => {
      closed();
      closed(await unauthorized()); // a WebSocket does not say why it was refused
      setTimeout(connect, delay * (0.75 + Math.random() / 2));
      delay = Math.min(2 * delay, LAST_DELAY_MS);
    };
  };
  connect();
}
