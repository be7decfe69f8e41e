/**
 * The ways in which open models write tool calls, each as one reader. A model trained on one family's syntax often
 * writes another's, so all are tried whatever the template says.
 */
import { bare, block, list } from './tool-syntax/bare-json.ts';
import { prefixed, tagged } from './tool-syntax/marked-json.ts';
import { deepSeek, functionary, kimi } from './tool-syntax/own-marks.ts';
import type { Syntax } from './tool-syntax/reading.ts';
import { functionTag, invoke, wrapper } from './tool-syntax/xml-tags.ts';

export type { FoundCall, Known, Syntax } from './tool-syntax/reading.ts';

/** Longer markers come first where one begins like another. */
export const syntaxes: readonly Syntax[] = [
  tagged('<tool_call>', '</tool_call>'),
  tagged('<tool_calls>', '</tool_calls>'),
  tagged('<function_call>', '</function_call>'),
  tagged('<TOOLCALL>', '</TOOLCALL>'),
  tagged('<|tool_call_start|>', '<|tool_call_end|>'),
  tagged('<|tool_call|>', '<|/tool_call|>'),
  prefixed('<|python_tag|>'),
  prefixed('[TOOL_CALLS]'),
  prefixed('functools'),
  functionTag,
  wrapper('<function_calls>'),
  wrapper('</function_calls>'),
  invoke,
  functionary,
  deepSeek,
  kimi,
  block('```', '```'),
  block('<json>', '</json>'),
  block('<tools>', '</tools>'),
  bare,
  list,
];
