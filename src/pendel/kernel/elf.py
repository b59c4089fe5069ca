"""The undefined symbols of a 64-bit ELF object file (System V gABI, chapter 4)."""

import struct

_SYMBOL_TABLE = 2
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")


def undefined_symbols(code: bytes) -> list[str]:
    """Names that the linker must find elsewhere; [] for anything that is no ELF64 object.

    code: the bytes of the object file. Raises struct.error for a truncated one.
    """
    if code[:5] != b"\x7fELF\x02":
        return []
    header = _HEADER.unpack_from(code)
    section_offset, section_size, section_count = header[6], header[11], header[12]
    sections = [
        _SECTION.unpack_from(code, section_offset + i * section_size) for i in range(section_count)
    ]
    names = []
    for kind, offset, size, link in ((s[1], s[4], s[5], s[6]) for s in sections):
        if kind != _SYMBOL_TABLE:
            continue
        strings = sections[link][4]
        for at in range(offset, offset + size, _SYMBOL.size):
            name, _, _, section, _, _ = _SYMBOL.unpack_from(code, at)
            if section == 0 and name:
                end = code.index(b"\0", strings + name)
                names.append(code[strings + name : end].decode())
    return names
