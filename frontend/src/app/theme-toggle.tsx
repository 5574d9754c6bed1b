/** Steps through system, light and dark; its name says what is on and what comes next. */

import { Monitor, Moon, Sun } from "lucide-react";

import { Button } from "@/components/ui/button";
import { Tooltip } from "@/components/ui/tooltip";
import { setTheme, type Theme, useTheme } from "@/hooks/use-theme";

const themes = {
  system: { icon: Monitor, next: "light" },
  light: { icon: Sun, next: "dark" },
  dark: { icon: Moon, next: "system" },
} as const satisfies Readonly<Record<Theme, { icon: typeof Monitor; next: Theme }>>;

export function ThemeToggle() {
  const theme = useTheme();
  const { icon: Icon, next } = themes[theme];
  return (
    <Tooltip text={`Theme: ${theme}`} side="right">
      <Button variant="icon" aria-label={`Theme: ${theme}. Change to ${next}.`} onClick={() => setTheme(next)}>
        <Icon aria-hidden className="size-4" />
      </Button>
    </Tooltip>
  );
}
