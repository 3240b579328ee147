"""Numbers for the pages in few bytes: a header in JSON, then arrays whose entries take a few bits.

Numbers that need not be exact are kept as codes of a few bits into a short table of levels, which
Lloyd's algorithm puts where the numbers are. `_live/lib/pack.js` reads what `pack` writes.
"""

import json

import numpy as np

KINDS = {"float32": "<f4", "uint16": "<u2", "uint8": "u1"}


def pack(header, arrays):
    """Bytes of a header and of named arrays; an array with levels is a pair (codes, levels)."""
    listing, blobs, start = [], [], 0
    for name, array in arrays.items():
        entry = {"name": name}
        if isinstance(array, tuple):
            array, entry["levels"] = array[0], [float(level) for level in array[1]]
            entry["bits"] = max(1, (len(entry["levels"]) - 1).bit_length())
            blob = pack_bits(array.ravel(), entry["bits"])
        else:
            entry["kind"] = array.dtype.name
            blob = array.astype(KINDS[entry["kind"]]).tobytes()
        listing.append(entry | {"shape": list(array.shape), "start": start, "size": len(blob)})
        blobs.append(blob)
        start += len(blob)
    head = json.dumps(header | {"arrays": listing}, ensure_ascii=False,
                      separators=(",", ":")).encode()
    return len(head).to_bytes(4, "little") + head + b"".join(blobs)


def unpack(content):
    """Header and arrays by name, each as float64 where it has levels."""
    size = int.from_bytes(content[:4], "little")
    header = json.loads(content[4:4 + size])
    arrays = {}
    for entry in header["arrays"]:
        start = 4 + size + entry["start"]
        blob = content[start:start + entry["size"]]
        if "levels" in entry:
            codes = unpack_bits(blob, entry["bits"], int(np.prod(entry["shape"])))
            values = np.array(entry["levels"])[codes]
        else:
            values = np.frombuffer(blob, KINDS[entry["kind"]])
        arrays[entry["name"]] = values.reshape(entry["shape"])
    return header, arrays


def pack_bits(codes, bits):
    """Codes below 2 ** bits one after the other, the highest bit of each first.

    >>> list(pack_bits(np.array([1, 2, 3]), 3))
    [41, 128]
    """
    rows = np.unpackbits(codes.astype(np.uint8)[:, None], axis=1)[:, 8 - bits:]
    return np.packbits(rows.ravel()).tobytes()


def unpack_bits(blob, bits, count):
    """The codes that `pack_bits` packed."""
    rows = np.unpackbits(np.frombuffer(blob, np.uint8))[:count * bits].reshape(count, bits)
    return rows @ (1 << np.arange(bits)[::-1])


def quantize(values, bits, rounds=30):
    """Codes and levels of an array: 2 ** bits levels with the least squared error."""
    levels = np.quantile(values, (np.arange(2 ** bits) + 0.5) / 2 ** bits)
    ordered = np.sort(values, axis=None).astype(float)
    sums = np.append(0, np.cumsum(ordered))
    for _ in range(rounds):
        ends = np.searchsorted(ordered, (levels[1:] + levels[:-1]) / 2)
        ends = np.concatenate([[0], ends, [len(ordered)]])
        counts = np.diff(ends)
        levels = np.where(counts > 0, np.diff(sums[ends]) / np.maximum(counts, 1), levels)
    levels = np.float32(levels).astype(float)
    return np.searchsorted((levels[1:] + levels[:-1]) / 2, values), levels
