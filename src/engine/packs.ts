/**
 * The engine builds that `engine install` knows, by platform. Nothing is unpacked whose digest is not one of these.
 * Sources: https://github.com/ggml-org/llama.cpp/releases/tag/b11435 (digests as other projects that pin this release
 * record them),
 * and the wheels of https://github.com/xorbitsai/xllamacpp as the package index has them.
 */

/** `process.platform`-`process.arch`. */
export type Platform = string;

/** Official build of llama.cpp: an archive with `llama-server` in it. */
export type ReleasePack = { url: string; sha256: string; bytes: number };

/** Python wheel with the same server as a library, run by python/viaduct-engine.py. */
export type WheelPack = { sha256: string; bytes: number };

export const releaseTag = 'b11435';
export const wheelName = 'xllamacpp';
export const wheelVersion = '2026.10.11549';
/** The wheel's stable ABI starts here. */
export const oldestPython: [number, number] = [3, 10];

const release = (file: string, sha256: string, bytes: number): ReleasePack => ({
  url: `https://github.com/ggml-org/llama.cpp/releases/download/${releaseTag}/llama-${releaseTag}-bin-${file}`,
  sha256,
  bytes,
});

export const releasePacks: Record<Platform, ReleasePack> = {
  'linux-x64': release(
    'ubuntu-x64.tar.gz',
    'ee617d7af304985e268fbc33bdd8fe44110f1dc2f599ecb27bdf08890e6e6e4c',
    17_692_966,
  ),
  'linux-arm64': release(
    'ubuntu-arm64.tar.gz',
    '5eecb754f61f21fd70799edb1db1d1a6d6cbdf7d1716e8781c99eb4841fd39f8',
    13_680_816,
  ),
  'darwin-arm64': release(
    'macos-arm64.tar.gz',
    '65f564a94c328dee846a395796d060671fb64f4334a84857c222b2416f039545',
    11_971_075,
  ),
  'darwin-x64': release(
    'macos-x64.tar.gz',
    '41ee358ed26b426f2798f459b6b8607416db7e0fa472bae955210f1908627b1b',
    11_487_091,
  ),
  'win32-x64': release(
    'win-cpu-x64.zip',
    '3ed50261147e260d80f5cdc7bdccfa13a94882be560a4438e7a69fa519c93fb7',
    19_399_527,
  ),
};

export const wheelPacks: Record<Platform, WheelPack> = {
  'linux-x64': { sha256: 'c54e7d13520ecc989c63dc99d55de3065e2f343a91f43f053d16b5e62077c261', bytes: 33_827_498 },
  'linux-arm64': { sha256: 'e2a3e79e775515de4ad197e667f874070446ef9ac9cf2044bc9866bc4c72289e', bytes: 32_870_844 },
  'darwin-arm64': { sha256: '4ecda27a308b2403aa13c9d04b270befab95edc556c24ed00b2f8a98bd7f6781', bytes: 12_152_949 },
  'darwin-x64': { sha256: '1f2a08052bb653659bcf1bedbbaf86b97f41dd46aa2763d596d7f27c5d89a689', bytes: 11_523_198 },
  'win32-x64': { sha256: '1b76730ab9af47ec8d05a3d55154305fa92642f694dd9ad87d9e5a5e9956a59d', bytes: 8_733_245 },
};
