export type Trigger = "http" | "consume";
export const triggers: readonly Trigger[] = ["http", "consume"];
