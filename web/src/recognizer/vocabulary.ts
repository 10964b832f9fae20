/** The ids of the words that are no glosses. */
export const BLANK_ID = 0;
