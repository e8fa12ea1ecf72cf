/** As much of Node.js as the tests use. */

declare module "node:test" {
  export function test(name: string, run: () => void): void;
}
declare module "node:assert/strict" {
  interface Assert {
    (condition: unknown, message?: string): void;
    equal(actual: unknown, expected: unknown, message?: string): void;
    deepEqual(actual: unknown, expected: unknown, message?: string): void;
    throws(run: () => void, expected?: object): void;
  }
  const assert: Assert;
  export default assert;
}
