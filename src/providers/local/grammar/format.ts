/**
 * Strings of the formats that JSON Schema names, as GBNF (without the quotes). A subset of each format: every string
 * that the grammar lets through is valid, not every valid one can come.
 * Source: https://json-schema.org/draft/2020-12/json-schema-validation#section-7.3
 */
const twoDigits = (expression: string) => `(${expression})`;
const day30 = twoDigits('"0" [1-9] | [12] [0-9] | "30"');
const day31 = twoDigits('"0" [1-9] | [12] [0-9] | "3" [01]');
const day28 = twoDigits('"0" [1-9] | "1" [0-9] | "2" [0-8]');
const month31 = '("01" | "03" | "05" | "07" | "08" | "10" | "12")';
const month30 = '("04" | "06" | "09" | "11")';
const date = `([12] [0-9]{3} "-" (${month31} "-" ${day31} | ${month30} "-" ${day30} | "02-" ${day28}))`;
const hour = '([01] [0-9] | "2" [0-3])';
const sixty = '([0-5] [0-9])';
const time = `(${hour} ":" ${sixty} ":" ${sixty} ("." [0-9]{1,6})? ("Z" | [+-] ${hour} ":" ${sixty}))`;
const hex = (count: number) => `[0-9a-f]{${count}}`;
const octet = '("25" [0-5] | "2" [0-4] [0-9] | "1" [0-9] [0-9] | [1-9] [0-9] | [0-9])';
const label = '([a-z0-9] ([a-z0-9-]{0,30} [a-z0-9])?)';
const hostname = `(${label} ("." ${label}){0,2} "." [a-z]{2,6})`;
const path = '("/" [a-zA-Z0-9._~-]{0,40}){0,6}';

export const formats: Record<string, string | undefined> = {
  date,
  time,
  'date-time': `(${date} "T" ${time})`,
  duration: '("P" ([1-9] [0-9]{0,3} "D" | "T" [1-9] [0-9]{0,3} [HMS] | [1-9] [0-9]{0,3} "DT" [1-9] [0-9]{0,3} [HMS]))',
  uuid: `(${hex(8)} "-" ${hex(4)} "-4" ${hex(3)} "-" [89ab] ${hex(3)} "-" ${hex(12)})`,
  email: `([a-zA-Z0-9] [a-zA-Z0-9_-]{0,30} ("." [a-zA-Z0-9_-]{1,20})? "@" ${hostname})`,
  'idn-email': `([a-zA-Z0-9] [a-zA-Z0-9_-]{0,30} "@" ${hostname})`,
  hostname,
  'idn-hostname': hostname,
  ipv4: `(${octet} "." ${octet} "." ${octet} "." ${octet})`,
  ipv6: `([0-9a-f]{1,4} (":" [0-9a-f]{1,4}){7})`,
  uri: `("http" "s"? "://" ${hostname} ${path})`,
  iri: `("http" "s"? "://" ${hostname} ${path})`,
  'uri-reference': `("http" "s"? "://" ${hostname} ${path})`,
  'json-pointer': '("/" [a-zA-Z0-9_-]{0,30}){0,6}',
  regex: '([a-zA-Z0-9]{1,30})',
};
