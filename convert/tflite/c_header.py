"""A `.tflite` file as a C header, for firmware without a file system."""

import hashlib
import re

FIRST_LINE = "// Written by `onebit convert`; do not edit."

_PER_LINE = 16


def c_header(content: bytes, name: str) -> str:
    """A header that defines the file's bytes, size and SHA-256.

    TensorFlow Lite reads the array in place, so it is aligned to 16 bytes, as its buffers are.

    Args:
        content: The whole file.
        name: The name of the constants, made a C identifier.
    """
    stem = re.sub(r"\W", "_", name, flags=re.ASCII)
    identifier = f"model_{stem}" if not stem or stem[0].isdigit() else stem
    lines = [
        "  " + " ".join(f"0x{byte:02x}," for byte in content[start : start + _PER_LINE])
        for start in range(0, len(content), _PER_LINE)
    ]
    guard = f"{identifier.upper()}_H_"
    return "\n".join(
        [
            FIRST_LINE,
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
            *lines,
            "};",
            "",
            f"#endif  // {guard}",
            "",
        ]
    )
