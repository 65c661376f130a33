"""Data as JSON text that every reader accepts."""

import json
import math
from typing import Any


def json_text(data: Any, *, is_ascii: bool = False) -> str:
    """Returns data as JSON in one line; numbers that JSON cannot hold, such as infinity, become null.

    Args:
        is_ascii: whether to escape every character beyond ASCII; lone surrogates can be written only so.
    """
    return json.dumps(_finite(data), ensure_ascii=is_ascii, allow_nan=False)


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data
