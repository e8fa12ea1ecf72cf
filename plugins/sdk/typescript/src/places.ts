/** Places in the one file that the build makes, as places in the sources. */

/** What the build puts behind the plugin: for each line of the one file, a source and a line in it. */
interface Places {
  sources: string[];
  lines: ([source: number, line: number] | 0)[];
}

/** How the engine names the one file, with a line and a column. */
const PLACE = /componentize-qjs:user\.js:(\d+)(?::\d+)?/g;

/** A stack with the places in the sources, without those in the library. */
export function inSources(stack: string): string {
  const places = (globalThis as { __places?: Places }).__places;
  if (places === undefined) return stack;
  const placed = stack.replace(PLACE, (found, line) => {
    const place = places.lines[Number(line) - 1];
    return place ? `${places.sources[place[0]]}:${place[1]}` : found;
  });
  return placed
    .split("\n")
    .filter((line) => !line.includes("(.trellis/"))
    .join("\n");
}
