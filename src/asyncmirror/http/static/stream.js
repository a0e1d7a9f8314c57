// What the server tells as it happens. When the connection is lost, it is made again, more and more patiently: the process may
// be between two lives.

const LONGEST = 15_000;

/**
 * @param tell Called with each status.
 * @param link Called with "live", "ended" (by itself) or "lost".
 */
export function listen(tell, link) {
  let patience = 1000;
  let source = null;
  let ended = false;

  const open = () => {
    source = new EventSource("api/events");
    source.addEventListener("status", (event) => {
      patience = 1000;
      const status = JSON.parse(event.data);
      ended = status.phase === "ended";
      link(ended ? "ended" : "live");
      tell(status);
    });
    source.addEventListener("error", async () => {
      source.close(); // browsers differ in what they try again: here it is always this
      if (!ended) link("lost");
      setTimeout(again, patience);
      patience = Math.min(LONGEST, patience * 1.6);
    });
  };
  const again = async () => {
    try {
      const answer = await fetch("api/status", { method: "HEAD" });
      if (answer.status === 401) location.reload(); // the token is another one now
    } catch {
      // nobody is there
    }
    open();
  };
  addEventListener("online", () => {
    patience = 1000;
  });
  open();
}
