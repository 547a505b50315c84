"""A file's metadata in C: names of classes as an array, the rest as comments."""

import textwrap

from onebit.metadata import Metadata

_PLAIN = frozenset(range(0x20, 0x7F)) - frozenset(b'"\\?')  # "??" would begin a trigraph


def string_literal(text: str) -> str:
    """A text as a C string of its UTF-8 bytes."""
    # Octal escapes end after three digits, hexadecimal ones don't.
    return '"' + "".join(chr(b) if b in _PLAIN else f"\\{b:03o}" for b in text.encode()) + '"'


def header_lines(metadata: Metadata, name: str) -> list[str]:
    """The part of `NAME.h` about the model; empty where nothing is known.

    Args:
        metadata: The file's.
        name: What symbols begin with.
    """
    if metadata.is_empty:
        return []
    lines = [
        wrapped.replace("*/", "* /").replace("/*", "/ *")
        for line in metadata.lines()
        if not line.startswith("labels:")
        for wrapped in textwrap.wrap(line, 92, subsequent_indent="  ")
    ]
    found = [f"{' *' if i else '/*'} {line}" for i, line in enumerate(lines)]
    if found:
        found[-1] += " */"
        found.append("")
    if metadata.labels:
        count = f"{name.upper()}_LABELS"
        found += [
            "/* Names of the classes, in the order of the output. */",
            f"#define {count} {len(metadata.labels)}",
            f"extern const char *const {name}_labels[{count}];",
            "",
        ]
    return found


def source_lines(metadata: Metadata, name: str) -> list[str]:
    """The part of `NAME.c` about the model: the array of labels, which links where it is used."""
    if not metadata.labels:
        return []
    literals = [f"  {string_literal(label)}," for label in metadata.labels]
    return [
        f"const char *const {name}_labels[{name.upper()}_LABELS] = {{",
        *literals,
        "};",
        "",
    ]
