/** Glosses with their times as text, JSON, SRT or ELAN files, as Python's `subtitles.py` writes them. */

import type { GlossSpan } from "../recognizer/hypothesis";
import { round } from "../recognizer/numbers";
import { spanToJson } from "../recognizer/stream_events";

export const FORMATS = ["text", "srt", "json", "eaf"] as const;
export type Format = (typeof FORMATS)[number];

export const SUFFIXES: Readonly<Record<Format, string>> = { text: ".txt", srt: ".srt", json: ".json", eaf: ".eaf" };

/** Returns the content of a file of some glosses. media: the name of their video, if there is one. */
export function written(spans: readonly GlossSpan[], format: Format, media: string | null): string {
  if (format === "json") return JSON.stringify({ media, glosses: spans.map(spanToJson) }, null, 1) + "\n";
  if (format === "srt") return spans.map((span, number) => srtCue(number + 1, span)).join("\n");
  return format === "eaf" ? eaf(spans, media) : plain(spans);
}

function plain(spans: readonly GlossSpan[]): string {
  const rows = spans.map(({ gloss, startSeconds, endSeconds, confidence }) => {
    const times = `${startSeconds.toFixed(2).padStart(7)} - ${endSeconds.toFixed(2).padStart(6)} s`;
    return `  ${times}  ${`${Math.round(100 * confidence)}%`.padStart(4)}  ${gloss}`;
  });
  return [spans.map(({ gloss }) => gloss).join(" ") || "(no gloss recognised)", ...rows].join("\n") + "\n";
}

/** Returns start and end in whole milliseconds, at least one apart: players and ELAN know no shorter ones. */
function interval({ startSeconds, endSeconds }: GlossSpan): [start: number, end: number] {
  const start = round(1000 * startSeconds);
  return [start, Math.max(round(1000 * endSeconds), start + 1)];
}

function srtCue(number: number, span: GlossSpan): string {
  const [start, end] = interval(span);
  return `${number}\n${clock(start)} --> ${clock(end)}\n${span.gloss}\n`;
}

function clock(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return `${parts.map((part) => String(part).padStart(2, "0")).join(":")},${String(milliseconds % 1000).padStart(3, "0")}`;
}

const SCHEMA =
  'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ' +
  'xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd"';

/** Returns an ELAN file with a tier of glosses and a tier of their confidences, version 3.0 of the format. */
function eaf(spans: readonly GlossSpan[], media: string | null): string {
  const slots: string[] = [];
  const glosses: string[] = [];
  const confidences: string[] = [];
  spans.forEach((span, number) => {
    const times = interval(span);
    const ids = times.map((time, side) => {
      const id = `ts${2 * number + side + 1}`;
      slots.push(`<TIME_SLOT TIME_SLOT_ID="${id}" TIME_VALUE="${time}"/>`);
      return id;
    });
    const [own, other] = [`a${2 * number + 1}`, `a${2 * number + 2}`];
    glosses.push(
      `<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="${own}" TIME_SLOT_REF1="${ids[0]}" TIME_SLOT_REF2="${ids[1]}">` +
        `<ANNOTATION_VALUE>${xml(span.gloss)}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>`,
    );
    confidences.push(
      `<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="${other}" ANNOTATION_REF="${own}">` +
        `<ANNOTATION_VALUE>${span.confidence.toFixed(2)}</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>`,
    );
  });
  const linked = media && `<MEDIA_DESCRIPTOR MEDIA_URL="./${xml(media)}" RELATIVE_MEDIA_URL="./${xml(media)}" MIME_TYPE="video/unknown"/>`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<ANNOTATION_DOCUMENT AUTHOR="signloom" DATE="${new Date().toISOString()}" FORMAT="3.0" VERSION="3.0" ${SCHEMA}>`,
    `<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">${linked ?? ""}</HEADER>`,
    `<TIME_ORDER>${slots.join("")}</TIME_ORDER>`,
    `<TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="gloss">${glosses.join("")}</TIER>`,
    `<TIER LINGUISTIC_TYPE_REF="confidence" PARENT_REF="gloss" TIER_ID="confidence">${confidences.join("")}</TIER>`,
    '<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true"/>',
    '<LINGUISTIC_TYPE CONSTRAINTS="Symbolic_Association" LINGUISTIC_TYPE_ID="confidence" TIME_ALIGNABLE="false"/>',
    '<CONSTRAINT DESCRIPTION="1-1 association with a parent annotation" STEREOTYPE="Symbolic_Association"/>',
    "</ANNOTATION_DOCUMENT>\n",
  ].join("\n");
}

function xml(text: string): string {
  const names: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  // Without the characters that XML cannot hold.
  return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "").replace(/[&<>"]/g, (sign) => names[sign]);
}
