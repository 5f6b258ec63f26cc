"""Erasing what names people, when it is due or asked for, with every proof still valid."""
