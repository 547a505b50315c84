"""A `.tflite` file as a C header, for firmware without a file system."""

import hashlib
import re

from convert.targets.own_files import HEADER_LINE, require_own_header
from convert.targets.target import Export, Target

_PER_LINE = 16

_KEYWORDS = (
    "alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t "
    "char8_t class co_await co_return co_yield compl concept const const_cast consteval constexpr "
    "constinit continue decltype default delete do double dynamic_cast else enum explicit export "
    "extern false float for friend goto if inline int long mutable namespace new noexcept not "
    "not_eq nullptr operator or or_eq private protected public register reinterpret_cast requires "
    "restrict return short signed sizeof static static_assert static_cast struct switch template "
    "this thread_local throw true try typedef typeid typename typeof typeof_unqual union unsigned "
    "using virtual void volatile wchar_t while xor xor_eq"
)
"""Those of C23 and C++20."""


def c_header(content: bytes, name: str) -> str:
    """A header that defines the file's bytes, size and SHA-256.

    TensorFlow Lite reads the array in place, so it is aligned to 16 bytes, as its buffers are.

    Args:
        content: The whole file.
        name: The name of the constants, made a C identifier.
    """
    identifier = c_identifier(name)
    guard = f"{identifier.upper()}_H_"
    return "\n".join(
        [
            HEADER_LINE,
            f"#ifndef {guard}",
            f"#define {guard}",
            "",
            f'#define {identifier.upper()}_SHA256 "{hashlib.sha256(content).hexdigest()}"',
            "",
            f"static const unsigned int {identifier}_size = {len(content)};",
            "#if defined(__cplusplus)",
            "alignas(16)",
            "#else",
            "_Alignas(16)",
            "#endif",
            f"static const unsigned char {identifier}[] = {{",
            *array_lines(content),
            "};",
            "",
            f"#endif  // {guard}",
            "",
        ]
    )


def array_lines(content: bytes) -> list[str]:
    """Bytes as the lines between an array's braces."""
    return [
        "  " + " ".join(f"0x{byte:02x}," for byte in content[start : start + _PER_LINE])
        for start in range(0, len(content), _PER_LINE)
    ]


def c_identifier(name: str) -> str:
    """A name as an identifier in C and C++: other characters become underscores."""
    stem = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"model_{stem}" if not stem or stem[0].isdigit() or stem in _KEYWORDS.split() else stem


def _write(export: Export) -> str:
    text = c_header(export.content, export.options.name or export.path.stem)
    export.path.write_text(text, encoding="utf-8")
    return f"{len(export.content):,} bytes as a C array"


TARGET = Target(_write, require_own_header, ".h", ("name",))
