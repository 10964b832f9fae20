/** A fault of what somebody gave: its message is for people. */
export class InputError extends Error {}
