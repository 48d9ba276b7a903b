"""What the machine is and what runs on it, read from /proc, /sys and /etc.

Readers take the root folder, so that they can be given another tree. All of them block. A file that
is missing or not for us leaves its values empty, which is no error; text that is not UTF-8 has
replacement characters.
"""
