/** The ids of the words that are no glosses. */
export const BLANK_ID = 0;
export const UNKNOWN_ID = 1;
/** What a model gives to signs that are none of its glosses. */
export const UNKNOWN = "<unknown>";
