#!/usr/bin/env python3
"""Writes a file of every kind of JPEG and PNG, and what Pillow reads of each: NAME.npy, uint8.

Made with Pillow 13.0, numpy 2.4 and cjpeg of libjpeg-turbo 2.1.5 (Debian's libjpeg-turbo-progs):
python3 make.py [CJPEG]
"""

import io
import struct
import subprocess
import sys
import tempfile
import zlib

import numpy as np
from PIL import Image

cjpeg = sys.argv[1] if len(sys.argv) > 1 else "cjpeg"
picture = Image.open("../baseline.jpg").convert("RGB").crop((10, 10, 43, 31))
rng = np.random.default_rng(11)


def write(name, data):
    with open(name, "wb") as file:
        file.write(data)
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).transpose(2, 0, 1)
    np.save(name + ".npy", np.ascontiguousarray(pixels))


def jpeg(name, *options, image=picture):
    pixels = io.BytesIO()
    image.save(pixels, "PPM")
    write(name + ".jpg", subprocess.run([cjpeg, *options], input=pixels.getvalue(),
                                        stdout=subprocess.PIPE, check=True).stdout)


def chunk(kind, content):
    return (struct.pack(">I", len(content)) + kind + content +
            struct.pack(">I", zlib.crc32(kind + content)))


def packed(row, depth):
    if depth == 16:
        return row.astype(">u2").tobytes()
    bits = (row.reshape(-1, 1) >> np.arange(depth - 1, -1, -1)) & 1
    return np.packbits(bits.astype(np.uint8)).tobytes()


def png(name, width, height, kind, depth, interlaced=False, extra=b""):
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    pixels = rng.integers(0, 1 << depth, (height, width, channels))
    passes = ((0, 0, 1, 1),) if not interlaced else (
        (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
        (0, 1, 1, 2))
    rows = b""
    for x, y, dx, dy in passes:
        part = pixels[y::dy, x::dx]
        if part.size:
            rows += b"".join(b"\0" + packed(row.reshape(-1), depth) for row in part)
    if kind == 3:
        extra = chunk(b"PLTE", rng.integers(0, 256, 3 << depth, np.uint8).tobytes()) + extra
    write(name + ".png", b"\x89PNG\r\n\x1A\n" + chunk(
        b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlaced)) + extra +
        chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


for samples in ("1x1", "2x1", "2x2", "1x2", "4x1", "4x2"):
    jpeg("sampled_" + samples, "-sample", samples)
    jpeg("progressive_" + samples, "-sample", samples, "-progressive", "-quality", "90")
jpeg("quality_5", "-quality", "5")
jpeg("quality_100", "-quality", "100")
jpeg("restarts", "-restart", "2B")
jpeg("rgb", "-rgb")
jpeg("arithmetic", "-arithmetic")
jpeg("optimized", "-optimize")
with tempfile.NamedTemporaryFile("w") as script:
    print("0;\n1;\n2;", file=script, flush=True)
    jpeg("scans", "-scans", script.name)
jpeg("one_pixel", image=picture.crop((0, 0, 1, 1)))
jpeg("column", image=picture.crop((0, 0, 1, 21)))

for interlaced in (False, True):
    end = "_interlaced" if interlaced else ""
    png("grey_1" + end, 19, 9, 0, 1, interlaced)
    png("grey_2" + end, 9, 7, 0, 2, interlaced)
    png("grey_4" + end, 5, 5, 0, 4, interlaced)
    png("grey_16" + end, 9, 7, 0, 16, interlaced)
    png("palette_2" + end, 9, 7, 3, 2, interlaced, chunk(b"tRNS", b"\0\x80\xFF"))
    png("palette_8" + end, 9, 7, 3, 8, interlaced)
    png("rgb_8" + end, 12, 10, 2, 8, interlaced)
    png("rgb_16" + end, 9, 7, 2, 16, interlaced, chunk(b"tRNS", b"\0\1" * 3))
    png("grey_alpha_16" + end, 9, 7, 4, 16, interlaced)
    png("rgba_16" + end, 9, 7, 6, 16, interlaced)
png("grey_transparent", 9, 7, 0, 8, False, chunk(b"tRNS", b"\0\x30"))
png("one_pixel", 1, 1, 2, 8, True)
png("column", 1, 5, 6, 8, True)
png("remarks", 9, 7, 2, 8, False, chunk(b"gAMA", struct.pack(">I", 100000)) +
    chunk(b"tEXt", b"Title\0none") + chunk(b"abCd", b"unknown"))
