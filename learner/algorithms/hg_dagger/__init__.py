"""HG-DAgger: imitate the person who gates. README.md maps the code to the paper."""
