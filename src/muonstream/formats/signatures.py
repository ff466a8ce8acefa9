"""What content that is not detector data is, by its first bytes: archives, databases, documents, images, programs."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Final

from muonstream.formats.inflate import compression_of

SAMPLE_BYTES: Final = 1 << 12
"""`signature` looks at no more than this."""

_UNPACK: Final = "; unpack it first"
_DECOMPRESS: Final = "; decompress it first"
_EXPORT: Final = "; export its hits first"

_AT_START: Final[tuple[tuple[bytes, str], ...]] = (
    # archives and compressions that are not read
    (b"PK\x05\x06", "an empty zip archive"),
    (b"PK\x07\x08", "a zip archive in several volumes" + _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive" + _UNPACK),
    (b"Rar!\x1a\x07", "a rar archive" + _UNPACK),
    (b"\x04\x22\x4d\x18", "lz4 data" + _DECOMPRESS + " (lz4 -d)"),
    (b"\x02\x21\x4c\x18", "lz4 data of an old version" + _DECOMPRESS + " (lz4 -d)"),
    (b"LZIP\x01", "lzip data" + _DECOMPRESS + " (lzip -d)"),
    (b"\x89LZO\x00\r\n\x1a\n", "lzop data" + _DECOMPRESS + " (lzop -d)"),
    (b"\x5d\x00\x00\x80\x00\xff\xff\xff\xff\xff\xff\xff\xff", "lzma data" + _DECOMPRESS + " (xz -d)"),
    (b"\xff\x06\x00\x00sNaPpY", "snappy data" + _DECOMPRESS),
    (b"MSCF\x00\x00\x00\x00", "a cabinet archive" + _UNPACK),
    (b"!<arch>\n", "an ar archive" + _UNPACK),
    (b"xar!\x00\x1c", "a xar archive" + _UNPACK),
    (b"070701", "a cpio archive" + _UNPACK),
    (b"070707", "a cpio archive" + _UNPACK),
    (b"\xed\xab\xee\xdb", "an rpm package"),
    # files of data with a structure of their own
    (b"root\x00\x00", "a ROOT file" + _EXPORT + " (uproot, or TTree::Scan)"),
    (b"SQLite format 3\x00", "an SQLite database" + _EXPORT),
    (b"\x37\x7f\x06\x82", "the log of an SQLite database"),
    (b"\x37\x7f\x06\x83", "the log of an SQLite database"),
    (b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7", "the journal of an SQLite database"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file" + _EXPORT),
    (b"CDF\x01\x00\x00", "a netCDF file" + _EXPORT),
    (b"CDF\x02\x00\x00", "a netCDF file" + _EXPORT),
    (b"CDF\x05\x00\x00", "a netCDF file" + _EXPORT),
    (b"\x93NUMPY", "a numpy array (.npy); write its words with tofile first"),
    (b"PAR1", "a Parquet file" + _EXPORT),
    (b"ARROW1\x00\x00", "an Arrow file (Feather)" + _EXPORT),
    (b"FEA1", "a Feather file" + _EXPORT),
    (b"\xff\xff\xff\xff\x70\x00\x00\x00\x10\x00\x00\x00", "an Arrow stream" + _EXPORT),
    (b"ORC\n", "an ORC file" + _EXPORT),
    (b"Obj\x01\x04", "an Avro file" + _EXPORT),
    (b"Obj\x01\x02", "an Avro file" + _EXPORT),
    (b"SIMPLE  =  ", "a FITS file" + _EXPORT),
    (b"XTENSION=", "a FITS file" + _EXPORT),
    (b"MATLAB 5.0 MAT-file", "a MATLAB file" + _EXPORT),
    (b"\x00\x80MI", "a MIDAS file" + _EXPORT),
    (b"RDX2\n", "data of R" + _EXPORT),
    (b"RDX3\n", "data of R" + _EXPORT),
    (b"\xd4\xc3\xb2\xa1\x02\x00", "a network capture (pcap); write its payload first"),
    (b"\xa1\xb2\xc3\xd4\x00\x02", "a network capture (pcap); write its payload first"),
    (b"\x4d\x3c\xb2\xa1\x02\x00", "a network capture (pcap); write its payload first"),
    (b"\x0a\x0d\x0d\x0a", "a network capture (pcapng); write its payload first"),
    # documents and images
    (b"%PDF-", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"{\\rtf", "a document (RTF)"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document; export its table as CSV first"),
    (b"\x89PNG\r\n\x1a\n", "an image (PNG)"),
    (b"\xff\xd8\xff", "an image (JPEG)"),
    (b"GIF87a", "an image (GIF)"),
    (b"GIF89a", "an image (GIF)"),
    (b"II*\x00", "an image (TIFF)"),
    (b"MM\x00*", "an image (TIFF)"),
    (b"\x00\x00\x01\x00\x01\x00", "an image (icon)"),
    (b"OggS\x00", "sound or video (Ogg)"),
    (b"ID3\x03", "sound (MP3)"),
    (b"ID3\x04", "sound (MP3)"),
    (b"\x1a\x45\xdf\xa3", "a video (Matroska)"),
    (b"<?php", "a PHP program"),
    # programs and what operating systems leave in folders
    (b"\x7fELF", "a program (ELF)"),
    (b"\xcf\xfa\xed\xfe", "a program (Mach-O)"),
    (b"\xca\xfe\xba\xbe\x00\x00", "a program (Java, or Mach-O)"),
    (b"\x00asm\x01\x00\x00\x00", "a program (WebAssembly)"),
    (b"#!/", "a script"),
    (b"\x4c\x00\x00\x00\x01\x14\x02\x00", "a Windows shortcut; name the file that it points to"),
    (b"[InternetShortcut]", "a Windows shortcut; name the file that it points to"),
    (b"[.ShellClassInfo]", "the settings of a Windows folder"),
    (b"[Desktop Entry]", "a desktop shortcut"),
    (b"\x00\x00\x00\x01Bud1", "the settings of a macOS folder (.DS_Store)"),
    (b"\x00\x05\x16\x07\x00\x02\x00\x00", "macOS metadata of a file (AppleDouble)"),
    (b"\x00\x05\x16\x00\x00\x02\x00\x00", "macOS metadata of a file (AppleSingle)"),
    (b"XSym\n", "a symbolic link of another system; name the file that it points to"),
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer; fetch the file first (git lfs pull)"),
    (b"b0VIM ", "a vim swap file"),
    # what is encrypted
    (b"Salted__", "data encrypted with OpenSSL; decrypt them first"),
    (b"age-encryption.org/", "data encrypted with age; decrypt them first"),
    (b"-----BEGIN ", "a key, or an encrypted or signed message (PEM)"),
)

_BY_FIRST_BYTE: Final[dict[int, list[tuple[bytes, str]]]] = {}
for _magic, _phrase in _AT_START:
    _BY_FIRST_BYTE.setdefault(_magic[0], []).append((_magic, _phrase))

_WEB_PAGE: Final = re.compile(
    rb"(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body|title|script)\b", re.IGNORECASE | re.DOTALL
)
_COMPRESSIONS: Final = {"gzip": "gzip -d", "bzip2": "bzip2 -d", "xz": "xz -d", "zstd": "zstd -d"}


def signature(sample: bytes) -> str | None:
    """What content is by its first bytes (4 KiB do), and what to do, such as "a zip archive; unpack it first".

    None where nothing is known of it: so it is for words, and for tables and JSON of any dialect and encoding.
    The phrase completes "found ...". Content is what is there after decompression: a compression found here is a
    second one.
    """
    sample = sample[:SAMPLE_BYTES]
    if not sample:
        return None
    for magic, phrase in _BY_FIRST_BYTE.get(sample[0], ()):
        if sample.startswith(magic):
            return phrase
    for look in _LOOKS:
        if (found := look(sample)) is not None:
            return found
    return None


def _compressed_twice(sample: bytes) -> str | None:
    kind = compression_of(sample)
    return f"{kind} data inside compressed data; decompress it once first ({_COMPRESSIONS[kind]})" if kind else None


def _zip(sample: bytes) -> str | None:
    """A zip archive: what it is for by the names of its first entries."""
    if not sample.startswith(b"PK\x03\x04"):
        return None
    name = sample[30 : 30 + int.from_bytes(sample[26:28], "little")]
    if name.endswith(b".npy"):
        return "numpy arrays (.npz); write their words with tofile first"
    if name == b"mimetype" and b"opendocument" in sample[:200]:
        return "an OpenDocument file (zip); export its table as CSV first"
    if name in (b"[Content_Types].xml", b"_rels/.rels") or name.startswith((b"docProps/", b"word/", b"xl/", b"ppt/")):
        return "an Office document (zip); export its table as CSV first"
    if name.startswith(b"META-INF/"):
        return "a program (Java archive, zip)"
    return "a zip archive" + _UNPACK


def _tar(sample: bytes) -> str | None:
    """A tar archive: by its magic number, or, for the oldest kind, by the check sum of its first header."""
    if len(sample) < 512:
        return None
    header = sample[:512]
    if header[257:262] == b"ustar":
        return "a tar archive" + _UNPACK
    text = header[148:156].strip(b" \0")
    if not header[0] or not re.fullmatch(rb"[0-7]{1,7}", text):
        return None
    total = sum(header) - sum(header[148:156]) + 8 * ord(" ")
    return "a tar archive" + _UNPACK if total == int(text, 8) else None


def _unix_compress(sample: bytes) -> str | None:
    # 9 to 16 bits, and no bits that the format does not use
    if sample[:2] == b"\x1f\x9d" and len(sample) > 2 and not sample[2] & 0x60 and 9 <= sample[2] & 0x1F <= 16:
        return "compress data (.Z)" + _DECOMPRESS + " (uncompress)"
    return None


def _windows_program(sample: bytes) -> str | None:
    if sample[:2] != b"MZ" or len(sample) < 64:
        return None
    at = int.from_bytes(sample[60:64], "little")
    return "a program (Windows)" if sample[at : at + 4] == b"PE\0\0" or b"DOS mode" in sample[:512] else None


def _pickle(sample: bytes) -> str | None:
    """A pickle: its protocol, then, from 4 on, a frame whose size is possible; else a first opcode of a container."""
    if len(sample) < 4 or sample[0] != 0x80 or not 2 <= sample[1] <= 5:
        return None
    if sample[1] >= 4:
        framed = sample[2] == 0x95 and len(sample) >= 11 and not any(sample[8:11])
        return "a Python pickle; write its words or a table first" if framed else None
    container = sample[2:3] in (b"}", b"]", b"(", b"c") and sample[3:4] in (b"q", b"r", b"c", b"n", b"_")
    return "a Python pickle; write its words or a table first" if container else None


def _lmdb(sample: bytes) -> str | None:
    # the first page's header, then the number of LMDB and its version 1
    return "an LMDB database" + _EXPORT if sample[16:24] == b"\xde\xc0\xef\xbe\x01\x00\x00\x00" else None


def _zlib(sample: bytes) -> str | None:
    """zlib's header is a weak sign (one random value in a thousand has it), so the data must inflate."""
    if len(sample) < 64 or sample[0] != 0x78 or (sample[0] << 8 | sample[1]) % 31 or sample[1] & 0x20:
        return None
    try:
        inflated = zlib.decompressobj().decompress(sample, 1 << 16)
    except zlib.error:
        return None
    return "zlib data" + _DECOMPRESS + " (zlib-flate -uncompress)" if len(inflated) >= 64 else None


def _riff(sample: bytes) -> str | None:
    kinds = {b"WAVE": "sound (WAV)", b"AVI ": "a video (AVI)", b"WEBP": "an image (WebP)"}
    return kinds.get(sample[8:12]) if sample[:4] == b"RIFF" else None


def _video(sample: bytes) -> str | None:
    return "a video (MP4), or an image (HEIC)" if sample[4:8] == b"ftyp" and not any(sample[:3]) else None


def _bitmap(sample: bytes) -> str | None:
    # two letters are not enough: reserved bytes are zero, and so is the upper half of the header's size
    header = sample[:2] == b"BM" and sample[6:10] == bytes(4) and sample[14:18] in (b"\x28\0\0\0", b"\x7c\0\0\0")
    return "an image (BMP)" if header else None


def _markup(sample: bytes) -> str | None:
    """Web pages and XML, after a byte order mark and white space."""
    text = sample.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text.startswith(b"<"):
        return None
    if _WEB_PAGE.match(text):
        return "a web page (HTML)"
    if not text[:5].lower().startswith(b"<?xml"):
        return None
    inner = text.partition(b"?>")[2].lstrip()
    if _WEB_PAGE.match(inner):
        return "a web page (HTML)"
    return "an image (SVG)" if b"<svg" in inner else "an XML document"


_LOOKS: Final[tuple[Callable[[bytes], str | None], ...]] = (
    _compressed_twice,
    _zip,
    _tar,
    _unix_compress,
    _windows_program,
    _pickle,
    _lmdb,
    _zlib,
    _riff,
    _video,
    _bitmap,
    _markup,
)
