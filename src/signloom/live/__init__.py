"""Recognition while people sign: cameras and videos, tracking, recogniser and display, each at its own pace."""
