#!/usr/bin/env python3
"""Writes variants of the pictures beside them, and what Pillow reads of each: NAME.npy, uint8.

cmyk_noadobe, zeropad, noiend, wide20000, empty_scan, trunc and 2000x1 are inputs. Made with Pillow
13.0, numpy 2.4: python3 make.py
"""

import io

import numpy as np
from PIL import Image


def read(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).transpose(2, 0, 1)


def contents(name):
    with open(name, "rb") as file:
        return file.read()


def write(name, data):
    with open(name, "wb") as file:
        file.write(data)


def segments(jpeg):
    """Splits a JPEG file into its start marker, its segments and the rest from the first scan on."""
    parts, at = [jpeg[:2]], 2
    while jpeg[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(jpeg[at + 2:at + 4], "big")
        parts.append(jpeg[at:end])
        at = end
    return parts + [jpeg[at:]]


# Adobe's marker says which of two transforms four components went through; 1 makes no sense.
adobe = contents("../cmyk.jpg")
at = adobe.index(b"Adobe") + 11
for name, transform in (("ycck.jpg", 2), ("cmyk_transform1.jpg", 1)):
    write(name, adobe[:at] + bytes([transform]) + adobe[at + 1:])
# Stray bytes and fill bytes between all segments.
parts = segments(contents("../baseline.jpg"))
write("strays.jpg", parts[0] + b"\0\x11\xFF\0\xFF\xFF".join(parts[1:]))
parts = segments(contents("../progressive.jpg"))
write("zeros.jpg", parts[0] + b"\0\0\0".join(parts[1:]))
# Cut between the last number of a pixel and the end.
for name, cut in (("cut_crc.png", 13), ("cut_adler.png", 19), ("cut_stream.png", 21)):
    write(name, contents("../rgb.png")[:-cut])
    write("grey16_" + name, contents("../grey16.png")[:-min(cut, 20)])
write("cut_padding.bmp", contents("../rgb.bmp")[:-2])
top_down = bytearray(contents("../rgb.bmp"))
top_down[22:26] = (-int.from_bytes(top_down[22:26], "little")).to_bytes(4, "little", signed=True)
write("top_down.bmp", bytes(top_down))

for name in ("cmyk_noadobe.jpg", "zeropad.jpg", "noiend.png", "ycck.jpg", "cmyk_transform1.jpg",
             "top_down.bmp"):
    np.save(name + ".npy", read(contents(name)))
for same, names in (("baseline.jpg", ["strays.jpg"]), ("progressive.jpg", ["zeros.jpg"]),
                    ("rgb.png", ["cut_crc.png", "cut_adler.png", "cut_stream.png"]),
                    ("grey16.png", ["grey16_cut_crc.png", "grey16_cut_stream.png"]),
                    ("rgb.bmp", ["cut_padding.bmp"])):
    for name in names:
        assert (read(contents(name)) == read(contents("../" + same))).all(), name

# Very long pictures after Resize(64), CenterCrop(56) of torchvision, whose sizes and crops are:
rng = np.random.default_rng(3)
for name, (width, height) in (("long", (900, 2)), ("tall", (3, 700)), ("thin", (5000, 1)),
                              ("half", (128, 150)), ("grown", (33, 20)),
                              ("portrait", (70, 180))):
    image = Image.fromarray(rng.integers(0, 4, (height, width, 3), np.uint8) * 85)
    image.save(name + ".png")
    short = min(width, height)
    size = (int(64 * width / short), int(64 * height / short)) if width != height else (64, 64)
    resized = image.resize(size, Image.BILINEAR)
    left, top = round((size[0] - 56) / 2), round((size[1] - 56) / 2)
    np.save(name + "_56.npy",
            np.asarray(resized.crop((left, top, left + 56, top + 56))).transpose(2, 0, 1))
